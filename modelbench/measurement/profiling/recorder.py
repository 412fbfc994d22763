"""A call under torch's profiler, with its modules as ranges."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from modelbench.measurement.profiling.calls import Placed, put, unwatched
from modelbench.measurement.profiling.recording import Recording, read
from modelbench.measurement.profiling.work import profiling
from modelbench.system.accelerator import synchronize

LEVEL = "KINETO_LOG_LEVEL"
ACTIVITIES = {"cuda": ProfilerActivity.CUDA, "xpu": ProfilerActivity.XPU}


@dataclass(frozen=True)
class How:
    """What is recorded."""

    name: str
    """Of the range around the whole call."""
    twice: bool = True
    """Whether a call before it warms the profiler, which takes its time to start."""
    ranges: bool = True
    """Whether each module has a range of its name."""
    shapes: bool = True
    """Whether the trace has the operators' shapes and strides."""
    memory: bool = False
    """Whether it has what is allocated."""


def record(
    model: nn.Module, call: Callable[[], Any], device: torch.device, file: Path, how: How
) -> Recording:
    """Call under the profiler, and write the trace of one call.

    Raises RuntimeError where another profiler is active.
    """
    if profiling():
        raise RuntimeError("another profiler is active in this process, and torch has but one")
    activities = [ProfilerActivity.CPU]
    supported: Any = torch.profiler.supported_activities
    if device.type in ACTIVITIES and ACTIVITIES[device.type] in supported():
        activities.append(ACTIVITIES[device.type])
    modules: dict[str, str] = {}
    rewind: Callable[[], None] = getattr(call, "rewind", lambda: None)
    calls = schedule(wait=0, warmup=1 if how.twice else 0, active=1)
    with (
        _ranges(model, modules) if how.ranges else nullcontext(),
        _silent(),
        profile(
            activities=activities, schedule=calls, record_shapes=how.shapes,
            profile_memory=how.memory,
        ) as seen,
    ):  # fmt: skip
        for again in (True, False) if how.twice else (False,):
            rewind()
            synchronize(device)
            with record_function(how.name):
                call()
                synchronize(device)
            if again:  # the first one under a profiler is slow
                seen.step()
    file.parent.mkdir(parents=True, exist_ok=True)
    seen.export_chrome_trace(str(file))
    return read(file, how.name, modules)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the profiler's library, which reads this once, from writing when it starts."""
    before = os.environ.get(LEVEL)
    os.environ.setdefault(LEVEL, "99")
    try:
        yield
    finally:
        if before is None:
            del os.environ[LEVEL]


@contextmanager
def _ranges(model: nn.Module, modules: dict[str, str]) -> Iterator[None]:
    """Put a range of its name around each module's forward; `modules` gets the names."""
    functions: list[Placed] = []
    left_out = unwatched(model.modules())
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule) or module in left_out:
            continue
        name = f"{path or '(model)'}: {type(module).__name__}"
        modules[name] = path
        functions.append((module, _ranged(module.forward, name)))
    before = put(functions)
    try:
        yield
    finally:
        put(before)


def _ranged(forward: Callable[..., Any], name: str) -> Callable[..., Any]:
    def ranged(*args: Any, **kwargs: Any) -> Any:
        with record_function(name):
            return forward(*args, **kwargs)

    return update_wrapper(ranged, forward)
