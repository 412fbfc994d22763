"""Quantizers for exported models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

LEAST_STEP = 1e-30
"""Of the eight bits' scale. The library's 2**-12 makes zeros of activations below 1e-4, which
untrained networks of many layers have."""


def x86() -> Any:
    """Return the quantizer for x86 processors: 8-bit activations, weights per channel."""
    from torchao.quantization.pt2e import HistogramObserver, PerChannelMinMaxObserver

    # Its import also teaches torch's compiler to multiply in 8 bits.
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as library

    from modelbench.precision.by_node import ByNode

    usual = library.get_default_x86_inductor_quantization_config()
    kinds = {"input_activation": HistogramObserver, "weight": PerChannelMinMaxObserver}
    specs = {
        name: replace(
            getattr(usual, name), observer_or_fake_quant_ctr=kind.with_args(eps=LEAST_STEP)
        )
        for name, kind in kinds.items()
    }
    return ByNode(replace(usual, **specs))
