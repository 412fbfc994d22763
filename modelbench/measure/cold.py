"""Emptying caches between samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

USUAL = 64 * 2**20
"""Bytes of a last-level cache whose size cannot be read."""


def flusher(device: torch.device) -> Callable[[], None]:
    """Give what fills the last-level cache with something else, twice its size."""
    if device.type == "cuda":
        size = int(torch.cuda.get_device_properties(device).L2_cache_size)
    else:
        size = last_level_bytes()
    buffer = torch.empty(2 * size // 4, dtype=torch.float32, device=device)

    def flush() -> None:
        buffer.zero_()

    return flush


def last_level_bytes() -> int:
    """Tell the size of the CPU's largest cache, as Linux gives it; elsewhere a usual one."""
    sizes = [USUAL]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text(encoding="ascii").strip()
        if text.endswith("K") and text[:-1].isdigit():
            sizes.append(int(text[:-1]) * 1024)
    return max(sizes)
