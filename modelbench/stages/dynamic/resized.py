"""Input of other sizes on shapes alone: what does not fit into memory is never made."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.models.workload import Workload


class Resized:
    """Knows how each dimension of a workload's input grows with each axis."""

    def __init__(self, workload: Workload) -> None:
        self._axes, self._usual = workload.axes, workload.batch()
        own = self._usual.named()
        self._slopes: dict[str, dict[str, list[float]]] = {}
        """Axis -> input -> growth of each dimension for each step of the axis."""
        for axis, size in workload.axes.items():
            twice = workload.batch(**{axis: 2 * size}).named()
            self._slopes[axis] = {
                name: [(b - a) / size for a, b in zip(t.shape, twice[name].shape, strict=True)]
                for name, t in own.items()
            }

    def batch(self, sizes: Mapping[str, int]) -> Batch:
        """Return empty input; to be called where tensors are made without memory.

        Raises ValueError for a size that an input cannot have.
        """

        def empty(name: str, own: Tensor) -> Tensor:
            shape = [float(length) for length in own.shape]
            for axis, size in sizes.items():
                more = size - self._axes[axis]
                shape = [a + s * more for a, s in zip(shape, self._slopes[axis][name], strict=True)]
            if any(length != int(length) for length in shape):
                raise ValueError(f"{name} would be {shape}; expected integers")
            whole = [int(length) for length in shape]
            return torch.empty(whole, dtype=own.dtype, device=own.device)

        return self._usual.holding({n: empty(n, t) for n, t in self._usual.named().items()})
