"""What tensors really hold, whatever type they give themselves out for."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


def inner(tensor: Tensor) -> list[Tensor]:
    """Return the plain tensors that one is made of: values, scales, zero points; often itself."""
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [plain for name in names for plain in inner(getattr(tensor, name))]


def is_low(tensor: Tensor) -> bool:
    """Return whether a weight's values are stored in 8 bits or fewer, or in packed ones."""
    values = max(inner(tensor), key=lambda plain: plain.nbytes)
    return values.element_size() == 1 or not (values.is_floating_point() or values.is_complex())


def low_numel(tensors: Iterable[Tensor]) -> int:
    """Count the values that are stored so; a tensor that stands in several places once."""
    each = {id(tensor): tensor for tensor in tensors}
    return sum(t.numel() for t in each.values() if t is not inner(t)[0] and is_low(t))


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same to the last bit."""
    pairs = list(zip(inner(one), inner(other), strict=False))
    return type(one) is type(other) and all(_equal(a, b) for a, b in pairs)


def _equal(one: Tensor, other: Tensor) -> bool:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    bits = [t.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for t in (one, other)]
    return torch.equal(*bits)
