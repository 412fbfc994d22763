"""One batch that is to be made, and what makes the tensors of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """One batch to be made: its sizes, and what the user wants it made of."""

    sizes: Mapping[str, int]
    seed: int = 0
    text: str | None = None
    image: Path | None = None
    calibration: int | None = None
    """The number of a batch that quantization is calibrated on; made of another photograph and
    another text than all other batches."""


class Source(Protocol):
    """Makes the tensor of one forward argument."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""

    def __call__(self, draw: Draw) -> Tensor:
        """Make the tensor; the same draw gives the same values."""


def generator(draw: Draw) -> torch.Generator:
    """Return the random numbers of a draw; calibration has others."""
    number = 0 if draw.calibration is None else draw.calibration + 1
    return torch.Generator().manual_seed(draw.seed + number)
