"""The stage `dynamic`."""

from modelbench.stages.dynamic.settings import Dynamic

__all__ = ["Dynamic"]
