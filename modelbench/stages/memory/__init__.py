"""The stage `memory`."""

from modelbench.stages.memory.settings import Memory

__all__ = ["Memory"]
