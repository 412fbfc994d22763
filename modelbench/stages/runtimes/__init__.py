"""The stage `runtimes`."""

from modelbench.stages.runtimes.settings import Runtimes

__all__ = ["Runtimes"]
