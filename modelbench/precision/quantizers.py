"""Quantizers for exported models."""

from __future__ import annotations

from typing import Any


def x86() -> Any:
    """Give the quantizer for x86 processors: 8-bit activations, weights per channel."""
    # Its import also teaches torch's compiler to multiply in 8 bits.
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as library

    from modelbench.precision.by_node import ByNode

    return ByNode(library.get_default_x86_inductor_quantization_config())
