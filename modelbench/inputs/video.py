"""Video, from a photograph that is panned over."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from modelbench.inputs.draw import Draw
from modelbench.inputs.image import Image


@dataclass(frozen=True)
class Video:
    """Clips: float32, `[batch_size, num_frames, channels, image_size, image_size]`.

    With `channels_first` frames come after the channels. The frames of a sample are its image,
    moved by some pixels from one to the next.
    """

    image: Image = field(default_factory=Image)
    channels_first: bool = False

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return (*self.image.axes(), "num_frames")

    def __call__(self, draw: Draw) -> Tensor:
        """Make the clips."""
        still, frames = self.image(draw), draw.sizes["num_frames"]
        step = max(1, still.shape[-1] // 32)
        moved = [still.roll(step * number, -1) for number in range(frames)]
        return torch.stack(moved, 2 if self.channels_first else 1)
