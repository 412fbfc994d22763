"""What it costs to watch a module's calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import get_clock_info, perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modelbench.measurement.profiling.calls import Calls

LOOPS, ROUNDS = 1000, 7
RESOLVED = 3
"""Times of what a watched call costs, or of the clock's step, below which a layer's time is no
figure of its own."""


@dataclass(frozen=True)
class Cost:
    """What watching a call takes, in milliseconds."""

    inside: float
    """Between what the clock reads before and after it."""
    outside: float
    """Beyond that, which the call around it takes longer."""

    @classmethod
    def measured(cls) -> Cost:
        """Measure it on a module that does nothing."""
        model, given = _Loop(), torch.zeros(1)
        forward = model.nothing.forward
        calls = Calls(model, now)
        inside, outside = [], []
        for _ in range(ROUNDS):
            plain = _took(lambda: model(given))
            bare = _took(lambda: _repeat(forward, given))
            with calls:
                watched = _took(lambda: model(given))
            within = float(np.median(calls.spans().taken[1:])) * 1e3 - bare / LOOPS
            inside.append(within)
            outside.append((watched - plain) / LOOPS - within)
        return cls(max(0.0, median(inside)), max(0.0, median(outside)))

    @property
    def resolution_ms(self) -> float:
        """Below this a time is lost in what watching costs."""
        return RESOLVED * max(self.inside + self.outside, get_clock_info("perf_counter").resolution)

    def here(self, more_ms: float, spans: int) -> Cost:
        """Return what it takes in a call that took so much longer when all was watched twice.

        There arguments are many and caches cold. What the second watch costs does not depend on
        what the call takes unwatched, against which the layers are held.
        """
        hot = self.inside + self.outside
        found = more_ms / spans
        return self if found <= hot else Cost(*(part * found / hot for part in self.parts))

    @property
    def parts(self) -> tuple[float, float]:
        """Inside and outside."""
        return self.inside, self.outside


class _Nothing(nn.Module):
    def forward(self, given: Tensor) -> Tensor:
        return given


class _Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nothing = _Nothing()

    def forward(self, given: Tensor) -> None:
        _repeat(self.nothing, given)


def _repeat(call: Callable[[Tensor], Any], given: Tensor) -> None:
    for _ in range(LOOPS):
        call(given)


def now() -> float:
    """Read the clock; seconds."""
    return perf_counter()


def _took(call: Callable[[], Any]) -> float:
    start = perf_counter()
    call()
    return (perf_counter() - start) * 1e3
