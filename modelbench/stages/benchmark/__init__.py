"""The stage `benchmark`."""

from modelbench.stages.benchmark.session import Benchmark

__all__ = ["Benchmark"]
