"""Where a model's inputs come from; a model's YAML names one source for each forward argument."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from modelbench.photographs import crop, photograph, processed

TEXT = (
    "A model is measured before it is trusted. Its weights are counted, its layers are timed, "
    "and what it needs in memory is written down, so that whoever trains it next, or ships it "
    "to a phone, knows beforehand what will happen. "
)
OTHER_TEXT = (
    "The harbour was quiet that morning; three boats lay at the quay and 42 gulls waited for them. "
    '"Where did you find it?" she asked, but nobody could say, least of all the old captain, who '
    "had sailed these waters since 1968 and trusted neither charts nor weather reports. "
)
PHOTOGRAPH, OTHER_PHOTOGRAPH = "china.jpg", "flower.jpg"


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

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "image_size")

    def __call__(self, draw: Draw) -> Tensor:
        """Crop squares out of the picture and resize them."""
        calibrating = draw.calibration is not None
        picture = OTHER_PHOTOGRAPH if calibrating else draw.image or PHOTOGRAPH
        photo = photograph(picture).convert("L" if self.channels == 1 else "RGB")
        size = draw.sizes["image_size"]
        rng = random.Random(draw.seed + (draw.calibration or 0))
        random_from = 0 if calibrating else 1
        crops = [
            crop(photo, size, rng if i >= random_from else None)
            for i in range(draw.sizes["batch_size"])
        ]
        if self.processor is not None:
            return processed(crops, self.processor)
        pixels = torch.from_numpy(np.stack(crops)).float().div_(255)
        planes = pixels[:, None] if pixels.ndim == 3 else pixels.movedim(-1, 1)
        planes = planes[:, torch.arange(self.channels) % planes.shape[1]]
        mean, std = (torch.tensor(list(each))[:, None, None] for each in (self.mean, self.std))
        return ((planes - mean) / std).contiguous()

    def note(self, draw: Draw) -> str | None:  # noqa: ARG002  (every source's note takes it)
        """Say whose the normalisation is, where it is not ours."""
        return "normalised by the checkpoint's image processor" if self.processor else None


@dataclass(frozen=True)
class Tokens:
    """Token ids: int64, `[batch_size, sequence_length]`, of a text.

    Without a tokenizer they are the text's UTF-8 bytes modulo the vocabulary, each sample starting
    one byte later than the one before, and `end` is the last token of each, for models that look
    for it. With one, each sample starts one word later. The text is repeated or cut to the length.
    """

    vocab_size: int
    end: int | None = None
    tokenizer: str | None = None
    """Folder of a transformers tokenizer."""
    pad: bool = False
    """Fill up with the tokenizer's padding instead of repeating the text."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "sequence_length")

    def __call__(self, draw: Draw) -> Tensor:
        """Turn the text into tokens."""
        batch, length = draw.sizes["batch_size"], draw.sizes["sequence_length"]
        if self.tokenizer is not None:
            return _tokenized(self._text(draw), batch, length, self.tokenizer, pad=self.pad)
        text = torch.tensor(list(self._text(draw).encode()), dtype=torch.int64)
        rows, columns = torch.arange(batch)[:, None], torch.arange(length)[None, :]
        tokens = text[(rows + columns) % len(text)] % self.vocab_size
        if self.end is not None:
            tokens[:, -1] = self.end
        return tokens

    def _text(self, draw: Draw) -> str:
        if draw.calibration is None:
            return draw.text or TEXT
        words = OTHER_TEXT.split()
        first = 7 * draw.calibration % len(words)
        return " ".join(words[first:] + words[:first]) + " "

    def note(self, draw: Draw) -> str:
        """Say whether a tokenizer was at work."""
        if self.tokenizer is not None:
            return "the text by the checkpoint's tokenizer"
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
        generator = _generator(draw)
        shape = (draw.sizes["batch_size"],)
        return torch.randint(self.num_classes, shape, generator=generator)


@dataclass(frozen=True)
class Noise:
    """Standard normal float32.

    An entry of `shape` is an integer, the name of an axis, or an axis divided: `image_size/8`.
    """

    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        """Refuse entries of another form."""
        for entry in self.shape:
            if isinstance(entry, str) and not re.fullmatch(r"[a-z_]+(/[1-9]\d*)?", entry):
                raise ValueError(
                    f"shape entry {entry!r}: expected an integer, an axis, or an axis divided such "
                    "as image_size/8"
                )

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        named = [entry.partition("/")[0] for entry in self.shape if isinstance(entry, str)]
        return tuple(dict.fromkeys(named))

    def __call__(self, draw: Draw) -> Tensor:
        """Draw the noise."""
        shape = [self._length(entry, draw.sizes) for entry in self.shape]
        return torch.randn(shape, generator=_generator(draw))

    def _length(self, entry: int | str, sizes: Mapping[str, int]) -> int:
        if isinstance(entry, int):
            return entry
        axis, _, divisor = entry.partition("/")
        return sizes[axis] // int(divisor or 1)


def _generator(draw: Draw) -> torch.Generator:
    number = 0 if draw.calibration is None else draw.calibration + 1
    return torch.Generator().manual_seed(draw.seed + number)


def _tokenized(text: str, batch: int, length: int, folder: str, *, pad: bool) -> Tensor:
    """Tokenize to exactly `length`, special tokens included; raises ValueError where it cannot."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = text.split() or [text]
    rows = [" ".join(words[i % len(words) :] + words[: i % len(words)]) for i in range(batch)]
    if not pad:  # no word makes less than a token
        rows = [" ".join([row] * (length // len(words) + 1)) for row in rows]
    filled = tokenizer(
        rows,
        truncation=True,
        max_length=length,
        padding="max_length" if pad else False,
        return_tensors="pt",
    )
    tokens: Tensor = filled["input_ids"]
    if tokens.shape != (batch, length):
        found = list(tokens.shape)
        raise ValueError(f"the tokenizer in {folder} gave {found}, expected [{batch}, {length}]")
    return tokens
