"""Whether a model that was saved and loaded again is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from modelbench.measurement.numerics.fidelity import floating
from modelbench.precision.stored import same_bits

RUNS = 3
"""Further runs of the model, which tell by how much it differs from itself."""
ROUNDING, STEP = 1e-5, 1e-2
"""Relative differences that rounding makes: in single precision, and where it may move a value of
8 bits by one step."""


def changed(saved: Mapping[str, Any], loaded: Mapping[str, Any]) -> str | None:
    """Name the first tensor that is not the same to the last bit."""
    for name in dict.fromkeys([*saved, *loaded]):
        pair = saved.get(name), loaded.get(name)
        if not all(isinstance(each, torch.Tensor) for each in pair):
            if pair[0] is None or pair[1] is None:
                return name
        elif not same_bits(*pair):  # type: ignore[arg-type]
            return name
    return None


def alike(before: Any, after: Any, again: Callable[[], Any], rounding: float) -> bool:
    """Return whether two outputs differ by no more than two runs of one model, or rounding."""
    found = _distance(before, after)
    if found <= rounding:
        return True
    return found <= 2 * max(_distance(before, again()) for _ in range(RUNS))


def rounding(dtype: torch.dtype, *, quantized: bool) -> float:
    """Return the relative difference that another order of additions may make."""
    return STEP if quantized else max(ROUNDING, 4 * torch.finfo(dtype).eps)


def _distance(one: Any, other: Any) -> float:
    """Return the greatest relative difference of the tensors, by their root mean squares."""
    pairs = zip(floating(one).values(), floating(other).values(), strict=True)
    greatest = 0.0
    for a, b in ((a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
        off = (a - b).square().mean().sqrt()
        if off:
            greatest = max(greatest, float(off / a.square().mean().sqrt().clamp_min(1e-30)))
    return greatest
