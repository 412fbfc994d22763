"""What held a GPU back while calls were timed: its clock, and the limits that it ran into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from time import monotonic

import torch

LIMITS = {
    "the power limit": ("NVML_PERF_POLICY_POWER", "raise it (nvidia-smi --power-limit)"),
    "heat": ("NVML_PERF_POLICY_THERMAL", "cool the GPU, or lengthen the pauses"),
}
"""What may hold the clock back: NVML's counter of it, and the remedy."""

LOW = 0.75
"""Share of the greatest clock below which a timing is suspect (nvbench's rule)."""


@dataclass(frozen=True)
class Gpu:
    """A GPU at one moment."""

    when: float
    megahertz: int
    greatest_megahertz: int
    held_back_s: Mapping[str, float]
    """Limit -> how long it has held the clock back, ever."""


def look(device: torch.device) -> Gpu | None:
    """Read the clock and the counters of a CUDA device; None on the CPU and without NVML."""
    if device.type != "cuda" or not watched():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        # By its name for good: CUDA_VISIBLE_DEVICES renumbers the devices, for torch alone.
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return Gpu(
            monotonic(),
            pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
            pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM),
            {
                name: pynvml.nvmlDeviceGetViolationStatus(
                    handle, getattr(pynvml, counter)
                ).violationTime
                / 1e9
                for name, (counter, _) in LIMITS.items()
            },
        )
    except pynvml.NVMLError:  # a slice of a GPU (MIG), or a laptop's: not all can be read
        return None


def watched() -> bool:
    """Return whether NVML's bindings are installed."""
    return find_spec("pynvml") is not None


def findings(before: Gpu, after: Gpu) -> Iterator[str]:
    """Yield what held the GPU back between two moments, the second of them right after work."""
    seconds = after.when - before.when
    if seconds <= 0:
        return
    for name, (_, remedy) in LIMITS.items():
        share = (after.held_back_s[name] - before.held_back_s[name]) / seconds
        if share > 0.01:
            yield f"{name} throttled the GPU's clock for {share:.0%} of the time; {remedy}"
    if after.megahertz < LOW * after.greatest_megahertz:
        yield (
            f"the GPU's clock was at {after.megahertz} of {after.greatest_megahertz} MHz; raise "
            "test.benchmark.warmup_s, or lock the clock (nvidia-smi --lock-gpu-clocks)"
        )
