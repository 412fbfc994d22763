"""How coarsely a model as converted computes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from modelbench.precision.converted import ConvertedModel

INT8, TF32 = 2.0**-7, 2.0**-10
"""Relative distances of neighbouring numbers: of 127 steps, and of 10 bits of fraction."""


def distance(converted: ConvertedModel) -> float:
    """Return the relative distance of neighbouring numbers in what the model multiplies in."""
    own = torch.finfo(converted.dtype).eps
    if (
        converted.coverage.computed is not None and not converted.coverage.computed
    ):  # in its own type
        return own
    if converted.quantized:
        small = [d for d in set(_types(converted.model)) if d.is_floating_point and d.itemsize == 1]
        return max([INT8, *(torch.finfo(dtype).eps for dtype in small)])
    return max(own, TF32) if converted.dtype is torch.float32 else own


def _types(model: nn.Module) -> Iterator[torch.dtype]:
    """Yield the types of all weights, and of what quantized ones are made of."""
    for tensor in model.parameters():
        yield tensor.dtype
        for name in getattr(tensor, "__tensor_flatten__", lambda: ((), None))()[0]:
            inner = getattr(tensor, name)
            if isinstance(inner, Tensor):
                yield inner.dtype
