"""Handwritten digits that a model of images can learn in seconds."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from modelbench.inputs import Draw
from modelbench.inputs.batch import Batch
from modelbench.inputs.photographs import shipped_with_sklearn

SIDE = 16
"""Pixels of a digit at most: small layers cannot tell what is larger, however long they look."""


@dataclass(frozen=True)
class Digits:
    """The 1,797 digits of 8 by 8 pixels that scikit-learn ships (Alpaydin and Kaynak 1998).

    They are normalised, doubled in size, tiled over larger images and repeated over the channels; a
    quarter, every fourth, is kept from training. Of fewer than ten classes only those digits are
    taken.
    """

    argument: str
    """Of the model's forward, which takes the images."""
    channels: int = 3
    num_classes: int = 10
    batch_size: int = 16

    def training(self, draw: Draw) -> Iterator[Batch]:
        """Yield batches in random order, without end."""
        images, labels = self._part(test=False)
        generator = torch.Generator().manual_seed(draw.seed)
        while True:
            order = torch.randperm(len(images), generator=generator)
            for chosen in torch.split(order, self.batch_size):
                yield self._batch(images[chosen], labels[chosen], draw.sizes["image_size"])

    def test(self, draw: Draw) -> Iterator[Batch]:
        """Yield the digits that training does not see, once."""
        images, labels = self._part(test=True)
        split = partial(torch.split, split_size_or_sections=self.batch_size)
        for some, wanted in zip(split(images), split(labels), strict=True):
            yield self._batch(some, wanted, draw.sizes["image_size"])

    def _part(self, *, test: bool) -> tuple[Tensor, Tensor]:
        images, labels = _digits()
        kept = (torch.arange(len(labels)) % 4 == 0) == test
        kept &= labels < self.num_classes
        return images[kept], labels[kept]

    def _batch(self, images: Tensor, labels: Tensor, size: int) -> Batch:
        side = min(size, SIDE)
        scaled = interpolate(images, (side, side), mode="bilinear", align_corners=False)
        tiles = -(-size // side)
        tiled = scaled.repeat(1, self.channels, tiles, tiles)[..., :size, :size]
        return Batch((), {self.argument: tiled.contiguous()}, labels)


@lru_cache(maxsize=1)
def _digits() -> tuple[Tensor, Tensor]:
    """Return all images, `[n, 1, 8, 8]`, and their labels."""
    with gzip.open(shipped_with_sklearn("data/digits.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    images = torch.from_numpy(table[:, :64]).reshape(-1, 1, 8, 8)
    return (images - images.mean()) / images.std(), torch.from_numpy(table[:, 64]).long()
