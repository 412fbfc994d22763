"""Timing calls, one sample each."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch


@dataclass(frozen=True)
class Rule:
    """When to stop. Seconds; the budget ends the sampling whatever the count."""

    budget_s: float = 20.0
    min_samples: int = 30
    min_s: float = 2.0
    warmup_s: float = 0.5

    def enough(self, samples: int, seconds: float) -> bool:
        """Tell whether sampling may end after `samples` in `seconds`."""
        settled = samples >= self.min_samples and seconds >= self.min_s
        return samples > 0 and (settled or seconds >= self.budget_s)


@dataclass(frozen=True)
class Timing:
    """The samples of one call, in milliseconds and in order."""

    samples_ms: list[float]
    warmup_calls: int
    first_call_ms: float
    complete: bool
    """Whether the rule's least number of samples fitted into its budget."""


def time_call(call: Callable[[], Any], rule: Rule, device: torch.device) -> Timing:
    """Time `call` end to end in inference mode; on CUDA each sample ends with the device idle."""
    with torch.inference_mode(), _no_collection():
        first = _sample(call, device)
        warm = first / 1e3
        warmup_calls = 1
        while warm < rule.warmup_s:
            warm += _sample(call, device) / 1e3
            warmup_calls += 1
        # A call that takes up the whole budget by itself is not made twice.
        alone = first / 1e3 >= rule.budget_s
        samples = [first] if alone else []
        start = perf_counter()
        while not (alone or rule.enough(len(samples), perf_counter() - start)):
            samples.append(_sample(call, device))
    return Timing(samples, warmup_calls, first, len(samples) >= rule.min_samples)


def _sample(call: Callable[[], Any], device: torch.device) -> float:
    wait_for(device)
    start = perf_counter()
    call()
    wait_for(device)
    return (perf_counter() - start) * 1e3


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from landing in one sample and not in another."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
