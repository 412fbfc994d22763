"""The stage `quantization`."""

from modelbench.stages.quantization.settings import Quantization

__all__ = ["Quantization"]
