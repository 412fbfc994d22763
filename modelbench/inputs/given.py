"""Tensors that somebody has at hand, as a source of input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from modelbench.inputs.draw import Draw

SHIFT, CALIBRATED = 17, 7
"""Places by which another seed's content is moved, and calibration's."""


@dataclass(frozen=True)
class Given:
    """One tensor of a file that `torch.save` wrote.

    At other sizes it is repeated or cut; an image is resized. Other seeds and calibration get the
    same content moved along its last dimension.
    """

    file: str
    """A mapping of tensors."""
    name: str
    places: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Axis -> the dimensions that grow with it."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return tuple(self.places)

    def __call__(self, draw: Draw) -> Tensor:
        """Return the tensor at the draw's sizes."""
        tensor = self._tensor
        moved = SHIFT * draw.seed
        if draw.calibration is not None:
            moved += CALIBRATED * (draw.calibration + 1)
        if moved and tensor.ndim > 1:
            tensor = tensor.roll(moved, dims=-1)
        for axis, dims in self.places.items():
            tensor = _resized(tensor, dims, draw.sizes[axis])
        return tensor.clone()

    @cached_property
    def _tensor(self) -> Tensor:
        return _tensors(self.file)[self.name]


def _resized(tensor: Tensor, dims: Sequence[int], size: int) -> Tensor:
    if all(tensor.shape[dim] == size for dim in dims):
        return tensor
    if len(dims) == 2 and tensor.ndim == 4 and tensor.is_floating_point():
        return interpolate(tensor.float(), (size, size), mode="bilinear").to(tensor.dtype)
    for dim in dims:
        tensor = tensor.index_select(dim, torch.arange(size) % tensor.shape[dim])
    return tensor


@lru_cache(maxsize=4)
def _tensors(file: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(Path(file), weights_only=True)
    return found
