"""Numbers that are drawn, and numbers that are given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modelbench.inputs.draw import Draw, generator


@dataclass(frozen=True)
class Labels:
    """Class indices: int64, `[batch_size]`, drawn evenly from 0 to `num_classes - 1`."""

    num_classes: int

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size",)

    def __call__(self, draw: Draw) -> Tensor:
        """Draw the labels."""
        shape = (draw.sizes["batch_size"],)
        return torch.randint(self.num_classes, shape, generator=generator(draw))


@dataclass(frozen=True)
class Noise:
    """Standard normal float32.

    An entry of `shape` is an integer, the name of an axis, or an axis divided: `image_size/8`.
    """

    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        """Refuse entries of another form."""
        _checked(self.shape)

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return _named(self.shape)

    def __call__(self, draw: Draw) -> Tensor:
        """Draw the noise."""
        shape = [_length(entry, draw.sizes) for entry in self.shape]
        return torch.randn(shape, generator=generator(draw))


@dataclass(frozen=True)
class Full:
    """One value throughout, such as a mask of ones; `shape` as that of `Noise`.

    An axis may be the value: `image_size`, where a model is told how large its images are.
    """

    shape: tuple[int | str, ...]
    value: float | int | str = 1
    dtype: str = "int64"

    def __post_init__(self) -> None:
        """Refuse entries and types of another form."""
        _checked(self.shape)
        if not isinstance(getattr(torch, self.dtype, None), torch.dtype):
            raise ValueError(f"dtype={self.dtype}: expected a torch dtype, such as int64")

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return _named((*self.shape, self.value) if isinstance(self.value, str) else self.shape)

    def __call__(self, draw: Draw) -> Tensor:
        """Fill the tensor."""
        shape = [_length(entry, draw.sizes) for entry in self.shape]
        value = _length(self.value, draw.sizes) if isinstance(self.value, str) else self.value
        return torch.full(shape, value, dtype=getattr(torch, self.dtype))


def _checked(shape: Sequence[int | str]) -> None:
    for entry in shape:
        if isinstance(entry, str) and not re.fullmatch(r"[a-z_]+(/[1-9]\d*)?", entry):
            raise ValueError(
                f"shape entry {entry!r}: expected an integer, an axis, or a divided axis such "
                "as image_size/8"
            )


def _named(shape: Sequence[int | str]) -> tuple[str, ...]:
    named = [entry.partition("/")[0] for entry in shape if isinstance(entry, str)]
    return tuple(dict.fromkeys(named))


def _length(entry: int | str, sizes: Mapping[str, int]) -> int:
    if isinstance(entry, int):
        return entry
    axis, _, divisor = entry.partition("/")
    return sizes[axis] // int(divisor or 1)
