"""Pictures that models make, as files."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_images(images: Tensor, directory: Path, name: str) -> str:
    """Write `[b, 3, h, w]` in 0..1 as one PNG, side by side; what is not finite is black."""
    row = torch.cat(list(torch.nan_to_num(images.float()).clamp(0, 1)), dim=-1)
    pixels = (row * 255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return name
