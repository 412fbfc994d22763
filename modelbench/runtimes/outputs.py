"""What a call returned, as it goes from one process to another, and how far two of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from modelbench.inputs.tensors import named_tensors
from modelbench.measurement.numerics.fidelity import Spread, fidelity

Arrays = dict[str, Any]
"""Outputs by name, as numpy's: torch's would start threads on the other side."""
HUGE = 1e4
"""What masks as infinity does: half precision has little more."""


def arrays(returned: Any) -> Arrays:
    """Return the floating tensors in single precision; where there are none, the others."""
    named = {name: tensor.detach().cpu() for name, tensor in named_tensors(returned).items()}
    floats = {name: t.float().numpy() for name, t in named.items() if t.is_floating_point()}
    return floats or {name: tensor.numpy() for name, tensor in named.items()}


def held_against(wanted: Sequence[Arrays], found: Sequence[Arrays]) -> Spread:
    """Return the fidelity of outputs, sample by sample.

    Raises ValueError where shapes differ, or what is finite in one is not in the other.
    """
    pairs = list(zip(wanted, found, strict=True))
    for one, other in pairs:
        if [t.shape for t in one.values()] != [t.shape for t in other.values()]:
            raise ValueError(f"its outputs are {_shapes(other)}, those of PyTorch {_shapes(one)}")
        if not one:
            raise ValueError("it returns no tensor that could be compared")
        if any(np.isnan(a).any() for a, _ in _both(one, other)):
            raise ValueError("PyTorch's own outputs are not numbers (NaN): nothing can be compared")
        if any((np.isfinite(a) & ~np.isfinite(b)).any() for a, b in _both(one, other)):
            raise ValueError("its outputs have infinity or NaN where PyTorch's have none")
        if any(_unmasked(a, b).any() for a, b in _both(one, other)):
            raise ValueError("its outputs have numbers where PyTorch's have infinity")
    return Spread.of([
        fidelity(*zip(*(_finite(a, b) for a, b in _both(one, other)), strict=True))
        for one, other in pairs
    ])  # fmt: skip


def integers(outputs: Sequence[Arrays]) -> bool:
    """Return whether outputs are tokens or the like, of which one is right or wrong."""
    return all(array.dtype.kind in "iub" for each in outputs for array in each.values())


def _both(one: Arrays, other: Arrays) -> list[tuple[Any, Any]]:
    return list(zip(one.values(), other.values(), strict=True))


def _unmasked(wanted: Any, found: Any) -> Any:
    """Return where PyTorch masks with infinity, and the other neither so nor by a huge number."""
    masked = np.isinf(wanted)
    return masked & ~((np.sign(wanted) == np.sign(found)) & (np.abs(found) > HUGE))


def _finite(wanted: Any, found: Any) -> tuple[Any, Any]:
    """Return both as tensors, with nothing in the places that PyTorch masks with infinity."""
    keep = np.isfinite(wanted)
    first, second = (np.where(keep, each, 0).astype(np.float64) for each in (wanted, found))
    return torch.from_numpy(first), torch.from_numpy(second)


def _shapes(outputs: Arrays) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
