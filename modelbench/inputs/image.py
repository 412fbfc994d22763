"""Images, from photographs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modelbench.inputs.draw import Draw
from modelbench.inputs.photographs import crop, photograph, processed

PHOTOGRAPH, OTHER_PHOTOGRAPH = "china.jpg", "flower.jpg"


@dataclass(frozen=True)
class Image:
    """Photographs: float32, `[batch_size, channels, image_size, image_size]`, from 0..1 normalised.

    The first sample is the centre of the picture, the others are random crops of it. Channels
    beyond red, green and blue repeat these; a single channel is their luminance.
    """

    channels: int = 3
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    """Subtracted and divided by, for each channel or for all."""
    processor: str | None = None
    """Folder of a transformers image processor that rescales and normalises instead."""
    height: int | None = None
    width: int | None = None
    """Where the model takes one size only, and that is no square: it then has no `image_size`."""
    several: int | None = None
    """Images in a sample, `[batch_size, several, channels, ...]`; without it there is no such
    dimension."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size",) if self.height and self.width else ("batch_size", "image_size")

    def __call__(self, draw: Draw) -> Tensor:
        """Crop squares out of the picture and resize them."""
        crops = self.crops(draw, draw.sizes["batch_size"] * (self.several or 1))
        pixels = self.normalised(crops)
        return pixels.reshape(-1, self.several, *pixels.shape[1:]) if self.several else pixels

    def crops(self, draw: Draw, count: int) -> list[np.ndarray]:
        """Cut out so many pieces of the picture, 8-bit `[height, width]` or `[..., 3]`."""
        calibrating = draw.calibration is not None
        picture = OTHER_PHOTOGRAPH if calibrating else draw.image or PHOTOGRAPH
        photo = photograph(picture).convert("L" if self.channels == 1 else "RGB")
        size = self.size(draw)
        rng = random.Random(draw.seed + (draw.calibration or 0))
        random_from = 0 if calibrating else 1
        return [crop(photo, size, rng if i >= random_from else None) for i in range(count)]

    def size(self, draw: Draw) -> tuple[int, int]:
        """Return height and width in pixels."""
        if self.height and self.width:
            return self.height, self.width
        return draw.sizes["image_size"], draw.sizes["image_size"]

    def normalised(self, crops: Sequence[np.ndarray]) -> Tensor:
        """Return 8-bit pictures of one size as `[n, channels, height, width]`, normalised."""
        if self.processor is not None:
            return processed(crops, self.processor)
        pixels = torch.from_numpy(np.stack(crops)).float().div_(255)
        planes = pixels[:, None] if pixels.ndim == 3 else pixels.movedim(-1, 1)
        planes = planes[:, torch.arange(self.channels) % planes.shape[1]]
        mean, std = (torch.tensor(list(each))[:, None, None] for each in (self.mean, self.std))
        return ((planes - mean) / std).contiguous()

    def note(self, draw: Draw) -> str | None:  # noqa: ARG002  (every source's note takes it)
        """Return whose the normalisation is, where it is not ours."""
        return "normalised by the checkpoint's image processor" if self.processor else None
