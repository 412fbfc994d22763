"""What a machine can do at most: the rate of its matrix products and of its memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from filelock import FileLock
from platformdirs import user_cache_path

from modelbench.measurement.timing.audit import Snapshot, findings
from modelbench.measurement.timing.cold import last_level_bytes
from modelbench.results.json_file import write_json
from modelbench.system.accelerator import Switches, allow_tf32, synchronize, tf32
from modelbench.system.environment import cpu_model, device_name

TRIES, ENOUGH_S = 5, 0.5
ON_CPU, ON_ACCELERATOR = (1024, 2048), (4096, 8192)
"""Sides of the square matrices, of which the fastest counts."""


@dataclass(frozen=True)
class Peaks:
    """The best rates that were seen, not what a data sheet promises."""

    macs_per_s: float
    bytes_per_s: float
    disturbed: tuple[str, ...] = ()
    """What else the machine was doing meanwhile; such peaks are too low, and not kept."""

    @property
    def ridge(self) -> float:
        """MACs for each byte from which on computing takes longer than reading."""
        return self.macs_per_s / self.bytes_per_s


def peaks(device: torch.device, dtype: torch.dtype, *, afresh: bool = False) -> Peaks:
    """Return the peaks of a device with torch's present threads and settings.

    Measured once and kept in the user's cache; `afresh` measures again and keeps the better.
    """
    file = user_cache_path("modelbench") / "peaks.json"
    key = fingerprint(device, dtype)
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        known = _read(file)
        kept = Peaks(**known[key]) if key in known else None
        if kept is not None and not afresh:
            return kept
        before = Snapshot.take(device)
        found = measure(device, dtype)
        disturbed = tuple(findings(before, Snapshot.take(device)))
        macs, moved = found.macs_per_s, found.bytes_per_s
        if kept is not None:
            macs, moved = max(macs, kept.macs_per_s), max(moved, kept.bytes_per_s)
        if not disturbed:
            write_json(file, {**known, key: {"macs_per_s": macs, "bytes_per_s": moved}})
        return Peaks(macs, moved, disturbed)


def fingerprint(device: torch.device, dtype: torch.dtype) -> str:
    """Name all that the peaks depend on."""
    if device.type != "cpu":
        where = f"{device_name(device)}, {tf32()}"
    else:
        capability = torch.backends.cpu.get_cpu_capability()
        where = f"{cpu_model()}, {torch.get_num_threads()} threads, {capability}"
    return f"{where}, torch {torch.__version__}, {str(dtype).removeprefix('torch.')}"


def measure(device: torch.device, dtype: torch.dtype) -> Peaks:
    """Measure the peaks; takes a second or two."""
    with torch.inference_mode(), _tf32_where_convolutions_have_it(device, dtype):
        sides = ON_CPU if device.type == "cpu" else ON_ACCELERATOR
        products = max(_product_rate(side, device, dtype) for side in sides)
    with torch.inference_mode():
        return Peaks(products, _memory_rate(device))


def _product_rate(side: int, device: torch.device, dtype: torch.dtype) -> float:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return side**3 / _least_s(lambda: torch.mm(left, right, out=out), device)


def _memory_rate(device: torch.device) -> float:
    """Add two vectors into a third, each of them eight times the caches (STREAM's 'add')."""
    count = min(8 * last_level_bytes(device), 2**28) // 4
    left, right, out = (torch.ones(count, device=device) for _ in range(3))
    return 3 * 4 * count / _least_s(lambda: torch.add(left, right, out=out), device)


def _least_s(call: Callable[[], Any], device: torch.device) -> float:
    """Return the least seconds of several calls; what disturbs a call can only lengthen it."""
    call()
    synchronize(device)
    least, began, tries = float("inf"), perf_counter(), 0
    while tries < TRIES or perf_counter() - began < ENOUGH_S:
        start = perf_counter()
        call()
        synchronize(device)
        least, tries = min(least, perf_counter() - start), tries + 1
    return least


@contextmanager
def _tf32_where_convolutions_have_it(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Let matrix products use TF32 where cuDNN does: no layer shall be faster than the peak."""
    before = tf32()
    if device.type == "cuda" and dtype is torch.float32 and before.cudnn:
        allow_tf32(Switches(matmul=True, cudnn=True))
    try:
        yield
    finally:
        allow_tf32(before)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or cut short: it is measured again
        return {}
    return found if isinstance(found, dict) else {}
