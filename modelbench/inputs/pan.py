"""Moving pictures: a slow pan over a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modelbench.inputs import Draw, Image


@dataclass(frozen=True)
class Frame:
    """One frame: float32, `[batch_size, channels, image_size, image_size]`, normalised as images.

    The frames of one draw lie a pixel apart for each unit of `at`.
    """

    channels: int = 3
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    at: int = 0

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "image_size")

    def __call__(self, draw: Draw) -> Tensor:
        """Cut the frame out of a wider photograph."""
        return _pan(self, draw, self.at + 1)[..., self.at]


@dataclass(frozen=True)
class Video:
    """Clips: float32, `[batch_size, channels, frames, image_size, image_size]`."""

    channels: int = 3
    frames: int = 16
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "image_size")

    def __call__(self, draw: Draw) -> Tensor:
        """Pan by a pixel from frame to frame."""
        return _pan(self, draw, self.frames).movedim(-1, 2).contiguous()


WIDEST = 64
"""Pixels that a pan goes at most, so that each frame shows the same however many there are."""


def _pan(source: Frame | Video, draw: Draw, frames: int) -> Tensor:
    """Return frames in the last dimension."""
    size = draw.sizes["image_size"]
    wide = replace(draw, sizes={**draw.sizes, "image_size": size + WIDEST})
    whole = Image(source.channels, source.mean, source.std)(wide)
    places = [at % WIDEST for at in range(frames)]
    return torch.stack([whole[..., :size, at : at + size] for at in places], -1)
