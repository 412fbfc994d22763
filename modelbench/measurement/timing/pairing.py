"""Comparing calls: interleaved, so that what disturbs one disturbs the other as well."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any, Literal

import numpy as np
import torch
from scipy.special import stdtrit

from modelbench.measurement.timing.statistics import LEAST, Statistics
from modelbench.measurement.timing.timing import Sample, no_collection, sampler

Verdict = Literal["faster", "slower", "same", "ambiguous"]

NEGLIGIBLE = 0.01
"""Relative difference that matters to nobody."""


@dataclass(frozen=True)
class Pairs:
    """What a budget of seconds and a number of blocks allow. A block is A B B A or B A A B."""

    budget_s: float = 20.0
    min_blocks: int = 10
    max_blocks: int = 200
    warmup_s: float = 0.5


@dataclass(frozen=True)
class Ratio:
    """How long one call takes, in times of the other; the median of the blocks' ratios."""

    median: float
    interval: tuple[float, float] | None
    """95% confidence interval; None where the blocks are too few."""
    blocks: int

    @property
    def verdict(self) -> Verdict:
        """Say 'same' or a direction only where the whole interval does."""
        if self.interval is None:
            return "ambiguous"
        low, high = self.interval
        if low >= 1 - NEGLIGIBLE and high <= 1 + NEGLIGIBLE:
            return "same"
        if high < 1 - NEGLIGIBLE:
            return "faster"
        return "slower" if low > 1 + NEGLIGIBLE else "ambiguous"


@dataclass(frozen=True)
class Compared:
    """The samples of both, in milliseconds and in order, two of each in every block."""

    first_ms: list[float]
    second_ms: list[float]

    @property
    def ratio(self) -> Ratio:
        """Return the time of the second in times of the first."""
        return ratio(self.first_ms, self.second_ms)


def over_processes(found: Sequence[Ratio]) -> Ratio:
    """Return the median of several processes' ratios.

    Its interval is the wider of two: that of the samples, and that of what the processes differ by.
    """
    if len(found) == 1:
        return found[0]
    logs, count = np.log([each.median for each in found]), len(found)
    middle, blocks = float(np.median(logs)), sum(each.blocks for each in found)
    known = [log(each.interval[1] / each.interval[0]) / 2 for each in found if each.interval]
    if not known:
        return Ratio(exp(middle), None, blocks)
    inside = sqrt(sum(reach**2 for reach in known) / len(known) / count)
    between = float(stdtrit(count - 1, 0.975) * logs.std(ddof=1)) / sqrt(count)
    reach = max(inside, between)
    return Ratio(exp(middle), (exp(middle - reach), exp(middle + reach)), blocks)


def compare(
    first: Callable[[], Any],
    second: Callable[[], Any],
    pairs: Pairs,
    device: torch.device,
    seed: int = 0,
) -> Compared:
    """Time two calls in random blocks, in inference mode."""
    with torch.inference_mode(), no_collection():
        return collect_pairs(sampler(first, device), sampler(second, device), pairs, seed)


def collect_pairs(first: Sample, second: Sample, pairs: Pairs, seed: int = 0) -> Compared:
    """Warm both up, then take blocks until there are enough or the budget is spent."""
    rng = random.Random(seed)
    for sample in (first, second):
        warm = sample()[0]
        while warm < pairs.warmup_s * 1e3:
            warm += sample()[0]
    compared = Compared([], [])
    lists: Mapping[bool, tuple[Sample, list[float]]] = {
        True: (first, compared.first_ms),
        False: (second, compared.second_ms),
    }
    spent = 0.0
    for block in range(pairs.max_blocks):
        if block >= pairs.min_blocks and spent >= pairs.budget_s * 1e3:
            break
        outer = rng.random() < 0.5
        for which in (outer, not outer, not outer, outer):
            sample, samples = lists[which]
            samples.append(sample()[0])
            spent += samples[-1]
    return compared


def ratio(first_ms: Sequence[float], second_ms: Sequence[float]) -> Ratio:
    """Return the ratio of second to first from blocks of two samples of each."""
    logs = [log(value) for value in first_ms], [log(value) for value in second_ms]
    sums = [[a + b for a, b in zip(v[::2], v[1::2], strict=True)] for v in logs]
    blocks = [(two - one) / 2 for one, two in zip(*sums, strict=True)]
    found = Statistics.of(blocks)
    ends = (exp(found.interval[0]), exp(found.interval[1])) if found.interval else None
    return Ratio(exp(found.median), ends if len(blocks) >= LEAST else None, len(blocks))
