"""What a machine can do at most: the rate of its products and convolutions, and of its memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from filelock import FileLock
from torch.nn.functional import conv2d

from modelbench.measurement.timing.audit import UNUSUAL, Snapshot, findings
from modelbench.measurement.timing.cold import last_level_bytes
from modelbench.measurement.timing.control import Control
from modelbench.measurement.timing.record import Record
from modelbench.results.json_file import write_json
from modelbench.system.accelerator import Switches, allow_tf32, synchronize, tf32
from modelbench.system.cache import cache_folder
from modelbench.system.environment import cpu_model, device_name

log = logging.getLogger(__name__)

TRIES, ENOUGH_S = 5, 0.5
ON_CPU, ON_ACCELERATOR = (1024, 2048), (4096, 8192)
"""Sides of the square matrices, of which the fastest counts, or the convolution."""
CHANNELS, IMAGE, IMAGES_ON_ACCELERATOR = 256, 32, 64


@dataclass(frozen=True)
class Peaks:
    """The best rates that were seen, not what a data sheet promises."""

    macs_per_s: float
    bytes_per_s: float
    disturbed: tuple[str, ...] = ()
    """What else the machine was doing meanwhile; such peaks are too low, and not kept."""
    control_ms: float | None = None
    """The time of a fixed matrix product then; None where that was not measured."""
    slow: float | None = None
    """By how much the machine was slower then than it usually is, where that is much."""

    def told(self) -> dict[str, Any]:
        """Return what a share of them is held against."""
        return {
            "gmacs_per_s": self.macs_per_s / 1e9,
            "gb_per_s": self.bytes_per_s / 1e9,
            "control_ms": self.control_ms,
        }

    @property
    def ridge(self) -> float:
        """MACs for each byte from which on computing takes longer than reading."""
        return self.macs_per_s / self.bytes_per_s


def peaks(device: torch.device, dtype: torch.dtype, *, afresh: bool = False) -> Peaks:
    """Return the peaks of a device with torch's present threads and settings.

    Measured once and kept in the user's cache, and again where the machine was slower then than it
    usually is; `afresh` measures again in any case. The better are kept.
    """
    file = cache_folder() / "peaks.json"
    key = fingerprint(device, dtype)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.info("the peaks are not kept: %s", error)
        return measure(device, dtype)
    with FileLock(file.with_suffix(".lock")):
        known = _read(file)
        # Without a control they are of a release that knew of no convolutions.
        kept = Peaks(**known[key]) if "control_ms" in known.get(key, {}) else None
        if kept is not None and not afresh and not _slower(kept.control_ms, device):
            return kept
        before = Snapshot.take(device)
        found = measure(device, dtype)
        disturbed = tuple(findings(before, Snapshot.take(device)))
        now_ms = _control_ms(device)
        macs, moved = found.macs_per_s, found.bytes_per_s
        if kept is not None:
            macs, moved = max(macs, kept.macs_per_s), max(moved, kept.bytes_per_s)
            now_ms = min(now_ms, kept.control_ms or now_ms)
        if not disturbed:
            entry = {"macs_per_s": macs, "bytes_per_s": moved, "control_ms": now_ms}
            write_json(file, {**known, key: entry})
        return Peaks(macs, moved, disturbed, now_ms, _slower(now_ms, device))


def _control_ms(device: torch.device) -> float:
    """Return the time of a fixed matrix product, which tells the state of the machine."""
    with torch.inference_mode():
        return min(Control(device).restart(perf_counter()).compute)


def _slower(then_ms: float | None, device: torch.device) -> float | None:
    """Return by how much the machine was slower than usual at that time, where that is much."""
    usual = Record(control=fingerprint(device, torch.float32)).usual("compute_ms")
    if usual is None or then_ms is None or then_ms <= (1 + UNUSUAL) * usual.median:
        return None
    return then_ms / usual.median - 1


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
        # Libraries differ: on AMD's processors MKL's products take twice as long as oneDNN's
        # convolutions.
        products = max(products, _convolution_rate(device, dtype))
    with torch.inference_mode():
        return Peaks(products, _memory_rate(device))


def _product_rate(side: int, device: torch.device, dtype: torch.dtype) -> float:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return side**3 / _least_s(lambda: torch.mm(left, right, out=out), device)


def _convolution_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Convolve 3x3; 0 where there is no kernel for the type."""
    images = 1 if device.type == "cpu" else IMAGES_ON_ACCELERATOR
    image = torch.randn(images, CHANNELS, IMAGE, IMAGE, device=device).to(dtype)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device).to(dtype)
    macs = images * 9 * CHANNELS**2 * IMAGE**2
    try:
        return macs / _least_s(lambda: conv2d(image, weight, padding=1), device)
    except RuntimeError:
        log.info("no convolution in %s", dtype, exc_info=True)
        return 0.0


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
