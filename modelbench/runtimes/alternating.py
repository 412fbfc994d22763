"""Two ways to run a model, in processes of their own, sampled in turn."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass
from statistics import median

from modelbench.measurement.timing.pairing import Ratio, ratio
from modelbench.runtimes.remote import Remote

BLOCKS, LEAST_BLOCKS = 12, 8
"""What a small budget is divided by, and what a proof takes at least. A block is A B B A or
B A A B."""
SHARE_S = 0.1
"""Seconds of samples of either, at a time."""


@dataclass(frozen=True)
class Raced:
    """The medians of all parts, two of each in a block; milliseconds."""

    first_ms: list[float]
    second_ms: list[float]

    @property
    def ratio(self) -> Ratio:
        """The time of the first in times of the second: above 1, the second is faster."""
        return ratio(self.second_ms, self.first_ms)

    @property
    def second(self) -> float:
        """The median of the second."""
        return median(self.second_ms)

    @property
    def first(self) -> float:
        """The median of the first."""
        return median(self.first_ms)


def race(
    pair: tuple[Remote, Remote], budget_s: float, seed: int, until: float, least: int = LEAST_BLOCKS
) -> Raced:
    """Sample both in random blocks for so many seconds, while the other waits without taking time.

    Slow calls take longer: there are at least `least` blocks.
    """
    rng, found = random.Random(seed), Raced([], [])
    began = time.monotonic()
    share = min(SHARE_S, budget_s / (4 * BLOCKS))
    for block in itertools.count():
        if block >= least and time.monotonic() - began > budget_s:
            break
        outer = rng.random() < 0.5
        for which in (outer, not outer, not outer, outer):
            side, medians = (pair[0], found.first_ms) if which else (pair[1], found.second_ms)
            medians.append(median(side.ask("sample", share, until=until)))
    return found
