"""The time that an accelerator's kernels themselves take, without the gaps between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from modelbench.system.accelerator import synchronize

CALLS = 3


def kernels_ms(call: Callable[[], Any], device: torch.device) -> float | None:
    """Return the milliseconds of all kernels of one call; None where no profiler sees them."""
    supported: Any = torch.profiler.supported_activities
    activity = {"cuda": ProfilerActivity.CUDA, "xpu": ProfilerActivity.XPU}.get(device.type)
    if activity is None or activity not in supported():
        return None
    rewind: Callable[[], None] = getattr(call, "rewind", lambda: None)
    with torch.inference_mode(), profile(activities=[activity]) as seen:
        for _ in range(CALLS):
            rewind()
            call()
        synchronize(device)
    spent_us = sum(
        event.self_device_time_total
        for event in seen.events()
        if event.device_type.name != "CPU" and not event.is_user_annotation
    )
    return spent_us / CALLS / 1e3 or None
