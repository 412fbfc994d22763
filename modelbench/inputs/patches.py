"""Images already cut into patches, as the processors of Qwen's vision-language models cut them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelbench.inputs.draw import Draw
from modelbench.inputs.image import Image


@dataclass(frozen=True)
class Patches:
    """Patches: float32, `[batch_size * patches, channels * temporal * patch * patch]`.

    Patches that are merged later lie beside each other: `merge` by `merge` of them. A still image
    is repeated `temporal` times.
    """

    image: Image
    patch: int
    merge: int = 1
    temporal: int = 1
    flat: bool = True
    """Else `[batch_size * patches, channels, patch, patch]`."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return self.image.axes()

    def __call__(self, draw: Draw) -> Tensor:
        """Cut the images; raises ValueError for a size that is no multiple of the merged patch."""
        pixels = self.image(draw)
        side, step = pixels.shape[-1], self.patch * self.merge
        if side % step:
            raise ValueError(f"image_size={side}: expected a multiple of {step}")
        across = side // step
        cut = pixels.reshape(-1, pixels.shape[1], across, self.merge, self.patch, across,
                             self.merge, self.patch)  # fmt: skip
        # batch, row, column, row and column within the merged one; then channels and pixels
        ordered = cut.permute(0, 2, 5, 3, 6, 1, 4, 7).flatten(0, 4)
        if not self.flat:
            return ordered.contiguous()
        repeated = ordered[:, :, None].expand(-1, -1, self.temporal, -1, -1)
        return repeated.flatten(1).contiguous()


@dataclass(frozen=True)
class PatchGrid:
    """How many patches an image has: int64, `[batch_size, 3]`, frames, rows and columns.

    Without `frames`, `[batch_size, 2]`.
    """

    patch: int
    frames: bool = True

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "image_size")

    def __call__(self, draw: Draw) -> Tensor:
        """Count."""
        across = draw.sizes["image_size"] // self.patch
        row = [1, across, across] if self.frames else [across, across]
        return torch.tensor([row] * draw.sizes["batch_size"])
