"""The stage `memory`."""

from modelbench.stages.memory.footprint import Memory

__all__ = ["Memory"]
