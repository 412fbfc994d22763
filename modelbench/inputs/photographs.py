"""Pictures that go into a model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor


@lru_cache(maxsize=2)
def photograph(path: Path | str) -> Image.Image:
    """Open the user's picture, or one of the photographs that scikit-learn ships."""
    if isinstance(path, str):
        path = shipped_with_sklearn(f"images/{path}")
    with Image.open(path) as picture:
        photo: Image.Image = picture.convert("RGB")
    return photo


def shipped_with_sklearn(path: str) -> Path:
    """Return the place of a file of `sklearn.datasets`, whose import would take seconds."""
    return Path(str(distribution("scikit-learn").locate_file(f"sklearn/datasets/{path}")))


def crop(photo: Image.Image, size: tuple[int, int], rng: random.Random | None) -> np.ndarray:
    """Cut out a square, the largest at the centre or one anywhere; resize it to (height, width)."""
    side = min(photo.size) if rng is None else rng.randint(min(photo.size) // 2, min(photo.size))
    spare_x, spare_y = photo.width - side, photo.height - side
    left = spare_x // 2 if rng is None else rng.randint(0, spare_x)
    top = spare_y // 2 if rng is None else rng.randint(0, spare_y)
    box = (left, top, left + side, top + side)
    return np.asarray(photo.crop(box).resize(size[::-1], Image.Resampling.BICUBIC))


def processed(crops: Sequence[np.ndarray], folder: str) -> Tensor:
    """Let an image processor do all but the size, which is an axis."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder)
    pixels: Tensor = processor(
        images=[Image.fromarray(crop) for crop in crops],
        do_resize=False,
        do_center_crop=False,
        return_tensors="pt",
    )["pixel_values"]
    return pixels.float()
