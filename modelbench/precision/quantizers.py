"""Quantizers of torchao that need more than a constructor."""

from __future__ import annotations

from typing import Any


def x86() -> Any:
    """Give the quantizer for x86 processors: 8-bit activations, weights per channel."""
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as library

    quantizer = library.X86InductorQuantizer()
    quantizer.set_global(library.get_default_x86_inductor_quantization_config())
    return quantizer
