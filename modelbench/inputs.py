"""Where a model's inputs come from; a model's YAML names one source for each forward argument."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

TEXT = (
    "A model is measured before it is trusted. Its weights are counted, its layers are timed, "
    "and what it needs in memory is written down, so that whoever trains it next, or ships it "
    "to a phone, knows beforehand what will happen. "
)


@dataclass(frozen=True)
class Draw:
    """One batch to be made: its sizes, and what the user wants it made of."""

    sizes: Mapping[str, int]
    seed: int = 0
    text: str | None = None
    image: Path | None = None


class Source(Protocol):
    """Makes the tensor of one forward argument."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""

    def __call__(self, draw: Draw) -> Tensor:
        """Make the tensor; the same draw gives the same values."""


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

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "image_size")

    def __call__(self, draw: Draw) -> Tensor:
        """Crop squares out of the picture and resize them."""
        photo = _photo(draw.image).convert("L" if self.channels == 1 else "RGB")
        size = draw.sizes["image_size"]
        rng = random.Random(draw.seed)
        crops = [_crop(photo, size, rng if i else None) for i in range(draw.sizes["batch_size"])]
        pixels = torch.from_numpy(np.stack(crops)).float().div_(255)
        planes = pixels[:, None] if pixels.ndim == 3 else pixels.movedim(-1, 1)
        planes = planes[:, torch.arange(self.channels) % planes.shape[1]]
        mean, std = (torch.tensor(list(each))[:, None, None] for each in (self.mean, self.std))
        return ((planes - mean) / std).contiguous()


@dataclass(frozen=True)
class Tokens:
    """Token ids: int64, `[batch_size, sequence_length]`, the UTF-8 bytes of a text.

    Bytes are taken modulo the vocabulary, and the text is repeated or cut to the length. Each
    sample starts one byte later than the one before. `end` is the last token of each, for models
    that look for it.
    """

    vocab_size: int
    end: int | None = None

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "sequence_length")

    def __call__(self, draw: Draw) -> Tensor:
        """Map the text's bytes into the vocabulary."""
        text = torch.tensor(list((draw.text or TEXT).encode()), dtype=torch.int64)
        rows = torch.arange(draw.sizes["batch_size"])[:, None]
        columns = torch.arange(draw.sizes["sequence_length"])[None, :]
        tokens = text[(rows + columns) % len(text)] % self.vocab_size
        if self.end is not None:
            tokens[:, -1] = self.end
        return tokens

    def note(self, draw: Draw) -> str:
        """Say that no tokenizer was at work."""
        size, length = len((draw.text or TEXT).encode()), draw.sizes["sequence_length"]
        done = "cut" if length < size else "repeated"
        return f"no tokenizer: the {size} UTF-8 bytes of the text, {done} to {length} tokens"


@dataclass(frozen=True)
class Labels:
    """Class indices: int64, `[batch_size]`, drawn evenly from 0 to `num_classes - 1`."""

    num_classes: int

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size",)

    def __call__(self, draw: Draw) -> Tensor:
        """Draw the labels."""
        generator = torch.Generator().manual_seed(draw.seed)
        shape = (draw.sizes["batch_size"],)
        return torch.randint(self.num_classes, shape, generator=generator)


@dataclass(frozen=True)
class Noise:
    """Standard normal float32; an entry of `shape` is an integer or the name of an axis."""

    shape: tuple[int | str, ...]

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return tuple(entry for entry in self.shape if isinstance(entry, str))

    def __call__(self, draw: Draw) -> Tensor:
        """Draw the noise."""
        shape = [draw.sizes[entry] if isinstance(entry, str) else entry for entry in self.shape]
        return torch.randn(shape, generator=torch.Generator().manual_seed(draw.seed))


@lru_cache(maxsize=1)
def _photo(path: Path | None) -> Pillow.Image:
    """Open the user's picture, or the photograph of a temple that scikit-learn ships."""
    if path is None:
        # Not sklearn.datasets.load_sample_image: importing that takes seconds.
        shipped = distribution("scikit-learn").locate_file("sklearn/datasets/images/china.jpg")
        path = Path(str(shipped))
    with Pillow.open(path) as picture:
        photo: Pillow.Image = picture.convert("RGB")
    return photo


def _crop(photo: Pillow.Image, size: int, rng: random.Random | None) -> np.ndarray:
    """Cut out a square, the largest at the centre or a smaller one anywhere; resize it."""
    side = min(photo.size) if rng is None else rng.randint(min(photo.size) // 2, min(photo.size))
    spare_x, spare_y = photo.width - side, photo.height - side
    left = spare_x // 2 if rng is None else rng.randint(0, spare_x)
    top = spare_y // 2 if rng is None else rng.randint(0, spare_y)
    box = (left, top, left + side, top + side)
    return np.asarray(photo.crop(box).resize((size, size), Pillow.Resampling.BICUBIC))
