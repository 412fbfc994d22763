"""Emptying caches between samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from modelbench.system.accelerator import cache_bytes

USUAL = 64 * 2**20
"""Bytes of a last-level cache whose size cannot be read."""


def flusher(device: torch.device) -> Callable[[], None]:
    """Return what fills the last-level cache with something else, twice its size."""
    size = last_level_bytes(device)
    buffer = torch.empty(2 * size // 4, dtype=torch.float32, device=device)

    def flush() -> None:
        buffer.zero_()

    return flush


def last_level_bytes(device: torch.device) -> int:
    """Return the bytes of the largest cache, as the device or Linux says; elsewhere a usual one."""
    if device.type != "cpu":
        return cache_bytes(device) or USUAL
    sizes = [USUAL]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text(encoding="ascii").strip()
        if text.endswith("K") and text[:-1].isdigit():
            sizes.append(int(text[:-1]) * 1024)
    return max(sizes)
