"""The stage `benchmark`."""

from modelbench.stages.benchmark.settings import Benchmark

__all__ = ["Benchmark"]
