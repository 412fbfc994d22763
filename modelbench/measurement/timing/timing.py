"""Timing calls: when to begin, when to stop, one sample each."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil, sqrt
from time import perf_counter, time
from typing import Any

import numpy as np
import torch

from modelbench.measurement.timing.cold import flusher
from modelbench.measurement.timing.control import Control, Rounds
from modelbench.measurement.timing.statistics import Statistics
from modelbench.system.accelerator import event, synchronize

LATER_WARMUP_S = 0.2
"""Seconds of warm-up calls, at least, of a process that is not the first."""

CALLS_EACH = 2
"""Samples that a process has to have time for; else the call is left to one process."""

LONG_S = 0.5
"""Seconds of a call to which other data in the caches make no difference of a percent."""

WINDOW = 5
"""Calls that are compared with as many before them to see whether times have settled."""

NARROW, SPENT, ENOUGH, ALONE = (
    "interval narrow enough",
    "budget spent",
    "as many samples as asked for",
    "one call took the whole budget",
)


@dataclass(frozen=True)
class Rule:
    """When to begin and when to stop. Seconds; the budget ends the sampling whatever the count."""

    budget_s: float = 20.0
    min_samples: int = 30
    min_s: float = 1.0
    warmup_s: float = 0.5
    precision: float = 0.01
    """Half width of the median's 95% interval, relative to the median, that is narrow enough."""
    max_samples: int | None = None
    """Samples after which there are no more, however wide the interval is."""

    def shared(self, processes: int) -> Rule:
        """Return each one's rule where so many processes share the samples."""
        most = None if self.max_samples is None else ceil(self.max_samples / processes)
        return replace(
            self, budget_s=self.budget_s / processes, min_s=self.min_s / processes,
            min_samples=ceil(self.min_samples / processes), max_samples=most,
            precision=self.precision * sqrt(processes),
        )  # fmt: skip

    def settled(self, warmup_ms: Sequence[float], seconds: float) -> bool:
        """Return whether the last calls were like those before them, after the least warm-up.

        Their medians lie within 2%, or within what these medians vary by chance.
        """
        if seconds < self.warmup_s:
            return False
        if len(warmup_ms) < 2 * WINDOW:
            return warmup_ms[-1] >= self.warmup_s * 1e3  # calls this long need no window
        windows = np.asarray(warmup_ms[-2 * WINDOW :]).reshape(2, WINDOW)
        medians = np.median(windows, axis=1, keepdims=True)
        # About each window's own median, or a slope would pass for chance.
        deviation = 1.4826 * float(np.median(np.abs(windows - medians)))
        chance = 1.96 * 1.2533 * deviation * (2 / WINDOW) ** 0.5
        before, last = medians.ravel().tolist()
        return bool(abs(last - before) <= max(0.02 * last, chance))

    def warm_enough(self, seconds: float) -> bool:
        """Return whether to give up waiting: a quarter of the budget, or three times the least."""
        return seconds >= max(3 * self.warmup_s, self.budget_s / 4)

    def stop(self, samples_ms: Sequence[float], seconds: float) -> str | None:
        """Return why sampling may end, or None."""
        if seconds >= self.budget_s:
            return SPENT
        if self.max_samples is not None and len(samples_ms) >= self.max_samples:
            return ENOUGH
        if len(samples_ms) < self.min_samples or seconds < self.min_s:
            return None
        found = Statistics.of(samples_ms)
        narrow = found.half_width is not None and found.half_width <= self.precision
        return NARROW if narrow else None


@dataclass(frozen=True)
class Timing:
    """The samples of one call, in milliseconds and in order, end to end."""

    samples_ms: list[float]
    warmup_ms: list[float]
    """The calls before them; the first one is the first of all."""
    settled: bool
    """Whether the warm-up ended because the times had settled."""
    stopped: str
    """Why the sampling ended."""
    stream_ms: list[float] = field(default_factory=list)
    """On accelerators, from the first kernel's start to the last one's end, by events in the
    stream: the gaps between launches are included."""
    processes: int = 1
    """How many processes share the samples; this one took its part."""
    began: float = 0.0
    """When the first call was made; seconds since 1970."""
    at_s: list[float] = field(default_factory=list)
    """When each sample was taken, seconds later."""
    rounds: Rounds = field(default_factory=Rounds)
    """How fast the machine was meanwhile."""


Sample = Callable[[], tuple[float, float | None]]
"""Takes one sample: milliseconds end to end, and on the device where that differs."""


@dataclass(frozen=True)
class Conditions:
    """Under which calls are timed."""

    cold: bool = False
    """Whether the last-level cache holds something else before each sample."""
    processes: int = 1
    """How many processes share the samples: this one takes its part, or all where a call takes too
    long to be shared."""
    control: Control | None = None
    """Fixed calculations that are timed beside."""


ALONE_WARM = Conditions()


def time_call(
    call: Callable[[], Any], rule: Rule, device: torch.device, under: Conditions = ALONE_WARM
) -> Timing:
    """Time `call` in inference mode; on accelerators each sample ends with the device idle."""
    flush = flusher(device) if under.cold else leave_warm
    with torch.inference_mode(), no_collection():
        return collect(sampler(call, device, flush), rule, under)


def collect(sample: Sample, rule: Rule, under: Conditions = ALONE_WARM) -> Timing:
    """Warm up, and sample until the rule is met. Time is what the samples took, no other clock.

    The control's calculations come after the first call and after the last, and now and then
    between; the call after them finds other data in the caches and is no sample, unless it is long.
    """
    processes, control = under.processes, under.control
    began, start = time(), perf_counter()
    warmup = [sample()[0]]
    rounds = Rounds() if control is None else control.restart(start)
    if warmup[0] >= rule.budget_s * 1e3:  # not made twice
        return Timing(warmup, warmup, settled=False, stopped=ALONE, began=began, at_s=[0.0])
    settled = _warm_up(sample, rule, warmup)
    if CALLS_EACH * min(warmup) / 1e3 > rule.budget_s / processes:
        processes = 1
    rule = rule.shared(processes)
    whole: list[float] = []
    on_device: list[float] = []
    at_s: list[float] = []
    spent_s = 0.0
    stopped = None
    # The interval is looked at ever less often: it costs time, and looking biases it.
    look_at = min(max(1, rule.min_samples), rule.max_samples or rule.min_samples)
    while not stopped:
        if control is not None and whole and control.due(whole[-1] / 1e3):
            control.round()
            if whole[-1] < LONG_S * 1e3:
                sample()
        at_s.append(perf_counter() - start)
        milliseconds, stream_ms = sample()
        whole.append(milliseconds)
        spent_s += milliseconds / 1e3
        if stream_ms is not None:
            on_device.append(stream_ms)
        if len(whole) >= look_at or spent_s >= rule.budget_s:
            stopped = rule.stop(whole, spent_s)
            look_at = max(len(whole) + 1, int(len(whole) * 1.25))
            look_at = min(look_at, rule.max_samples or look_at)
    if control is not None:
        control.last()
    return Timing(whole, warmup, settled, stopped, on_device, processes, began, at_s, rounds)


def _warm_up(sample: Sample, rule: Rule, warmup: list[float]) -> bool:
    """Add calls to the first one until times have settled; return whether they have."""
    warm_s = warmup[0] / 1e3
    if warm_s < LONG_S:  # what comes before may have left something else in the caches
        warmup.append(sample()[0])
        warm_s += warmup[-1] / 1e3
    while not (settled := rule.settled(warmup, warm_s)) and not rule.warm_enough(warm_s):
        warmup.append(sample()[0])
        warm_s += warmup[-1] / 1e3
    return settled


def leave_warm() -> None:
    """Leave the caches as the last call left them."""


def sampler(
    call: Callable[[], Any], device: torch.device, flush: Callable[[], None] = leave_warm
) -> Sample:
    """Return what times one call on a device.

    A call that changes what it works on has a method `rewind` that brings it back; that is not
    timed.
    """
    rewind: Callable[[], None] = getattr(call, "rewind", leave_warm)

    def on_cpu() -> tuple[float, float | None]:
        rewind()
        flush()
        start = perf_counter()
        call()
        return (perf_counter() - start) * 1e3, None

    def on_accelerator() -> tuple[float, float | None]:
        begin, end = event(device), event(device)
        rewind()
        flush()
        synchronize(device)
        start = perf_counter()
        begin.record()
        call()
        end.record()
        synchronize(device)
        return (perf_counter() - start) * 1e3, begin.elapsed_time(end)

    return on_cpu if device.type == "cpu" else on_accelerator


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from landing in one sample and not in another."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
