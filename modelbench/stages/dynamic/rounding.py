"""How coarsely a model as shipped computes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from modelbench.precision.shipped import Shipped

INT8, TF32 = 2.0**-7, 2.0**-10
"""Relative distances of neighbouring numbers: of 127 steps, and of 10 bits of fraction."""


def distance(shipped: Shipped) -> float:
    """Give the relative distance of neighbouring numbers in what the model multiplies in."""
    own = torch.finfo(shipped.dtype).eps
    if shipped.reach.computed is not None and not shipped.reach.computed:  # in its own type
        return own
    if shipped.quantized:
        small = [d for d in set(_types(shipped.model)) if d.is_floating_point and d.itemsize == 1]
        return max([INT8, *(torch.finfo(dtype).eps for dtype in small)])
    return max(own, TF32) if shipped.dtype is torch.float32 else own


def _types(model: nn.Module) -> Iterator[torch.dtype]:
    """Give the types of all weights, and of what quantized ones are made of."""
    for tensor in model.parameters():
        yield tensor.dtype
        for name in getattr(tensor, "__tensor_flatten__", lambda: ((), None))()[0]:
            inner = getattr(tensor, name)
            if isinstance(inner, Tensor):
                yield inner.dtype
