"""The stage `algorithm`."""

from modelbench.stages.algorithm.settings import Algorithm

__all__ = ["Algorithm"]
