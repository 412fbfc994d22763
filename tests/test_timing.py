"""Sampling begins when times have settled, and ends when the interval is narrow or time is up."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from time import sleep

import numpy as np
import pytest
import torch
from simulated import MEDIAN, correlated

from modelbench.measurement.timing.cold import flusher, last_level_bytes
from modelbench.measurement.timing.pairing import Compared, Pairs, collect_pairs, ratio
from modelbench.measurement.timing.statistics import Statistics
from modelbench.measurement.timing.timing import (
    ALONE,
    NARROW,
    SPENT,
    Conditions,
    Rule,
    Sample,
    collect,
    time_call,
)

CPU = torch.device("cpu")


def played(values: Iterable[float]) -> Sample:
    """Return a sampler that plays recorded milliseconds; it takes no time itself."""
    them = iter(values)
    return lambda: (float(next(them)), None)


def test_sampling_ends_when_the_interval_is_narrow() -> None:
    """Not before its least number and duration, and long before the budget."""
    steady = 10 + np.random.default_rng(0).normal(0, 0.1, 100_000)
    found = collect(played(steady), Rule(budget_s=20, min_samples=30, min_s=0.1, warmup_s=0.1))
    assert found.stopped == NARROW
    assert 30 <= len(found.samples_ms) < 60
    found = collect(played(steady), Rule(budget_s=20, min_samples=30, min_s=2, warmup_s=0.1))
    assert 2000 <= sum(found.samples_ms) < 3000


def test_noise_takes_more_samples() -> None:
    """As many as the precision asks for, or what the budget allows."""
    noisy = np.random.default_rng(0).lognormal(1, 0.2, 100_000)
    rule = Rule(budget_s=20, min_samples=30, min_s=0, warmup_s=0)
    found = collect(played(noisy), rule)
    assert found.stopped == NARROW
    assert len(found.samples_ms) > 300
    width = Statistics.of(found.samples_ms).half_width
    assert width is not None and width <= 0.01
    short = collect(played(noisy), Rule(budget_s=0.5, min_samples=30, min_s=0, warmup_s=0))
    assert short.stopped == SPENT
    assert 500 <= sum(short.samples_ms) < 540


def test_the_interval_holds_though_its_width_ended_the_sampling() -> None:
    """Looking at it again and again costs some of its 95%: it is looked at ever less often."""
    rng = np.random.default_rng(1)
    rule = Rule(budget_s=60, min_samples=100, min_s=0, warmup_s=0, precision=0.005)
    covered = 0
    for _ in range(300):
        values = correlated(rng, 700, 0.3)
        found = collect(played(itertools.cycle(values)), rule)
        interval = Statistics.of(found.samples_ms).interval
        covered += interval is not None and interval[0] <= MEDIAN <= interval[1]
    assert 0.93 <= covered / 300 <= 0.98


def test_the_warm_up_ends_when_times_have_settled() -> None:
    """Slow first calls are no samples; a model that never settles is said to be so."""
    falling = [*np.linspace(50, 10, 60), *[10.0] * 10_000]
    found = collect(played(falling), Rule(min_s=0, warmup_s=0.1))
    assert found.settled
    assert max(found.samples_ms) < 11
    assert found.warmup_ms[0] == 50
    never = collect(played(10 * 1.01**i for i in itertools.count()), Rule(budget_s=4, min_s=0))
    assert not never.settled
    assert sum(never.warmup_ms) < 2200


def test_a_model_whose_time_varies_by_ten() -> None:
    """Every sample is kept, the budget ends it, and the audit tells of both groups."""
    values = itertools.cycle([1.0, 10.0])
    found = collect(played(values), Rule(budget_s=1, min_s=0, warmup_s=0))
    assert found.stopped == SPENT
    assert {1.0, 10.0} == set(found.samples_ms)


def test_a_call_that_takes_up_the_budget_is_made_once() -> None:
    """The first call is then the only sample."""
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        sleep(0.02)

    found = time_call(call, Rule(budget_s=0.01, warmup_s=0), CPU)
    assert len(calls) == 1
    assert found.samples_ms == found.warmup_ms
    assert found.stopped == ALONE


@pytest.mark.parametrize("cold", [False, True])
def test_samples_are_taken_in_inference_mode(cold: bool) -> None:
    """Each a time, after the warm-up, with caches as they are or emptied."""
    modes: list[bool] = []
    rule = Rule(budget_s=20, min_samples=30, min_s=0, warmup_s=0.001, precision=1)
    timing = time_call(
        lambda: modes.append(torch.is_inference_mode_enabled()), rule, CPU, Conditions(cold=cold)
    )
    assert all(modes)
    assert len(modes) == len(timing.warmup_ms) + len(timing.samples_ms)
    assert min(timing.samples_ms) > 0
    assert timing.stream_ms == []


def test_the_flusher_writes_more_than_the_cache_holds() -> None:
    """Twice the last level."""
    assert last_level_bytes(CPU) >= 2**20
    flusher(CPU)()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("cold", [False, True])
def test_a_sample_on_cuda_waits_for_the_device(cold: bool) -> None:
    """A matrix product takes its time, not that of its launch: 4096**3 MACs at most 1 PFLOP/s."""
    a = torch.rand(4096, 4096, device="cuda")
    timing = time_call(lambda: a @ a, Rule(min_s=0.1), torch.device("cuda"), Conditions(cold=cold))
    assert min(timing.samples_ms) > 2 * 4096**3 / 1e15 * 1e3
    assert len(timing.stream_ms) == len(timing.samples_ms)
    assert all(d <= s for d, s in zip(timing.stream_ms, timing.samples_ms, strict=True))


def test_calls_are_compared_in_blocks() -> None:
    """A B B A or B A A B, by chance; as many of each."""
    order: list[str] = []

    def named(name: str, milliseconds: float) -> Sample:
        def sample() -> tuple[float, float | None]:
            order.append(name)
            return milliseconds, None

        return sample

    pairs = Pairs(budget_s=0, min_blocks=40, warmup_s=0)
    found = collect_pairs(named("A", 10), named("B", 20), pairs)
    blocks = {"".join(order[i : i + 4]) for i in range(2, len(order), 4)}
    assert blocks == {"ABBA", "BAAB"}
    assert len(found.first_ms) == len(found.second_ms) == 80
    assert found.ratio.median == pytest.approx(2)
    assert found.ratio.verdict == "slower"


@pytest.mark.parametrize(
    ("second", "verdict"), [(1.0, "same"), (1.05, "slower"), (0.95, "faster"), (1.011, "ambiguous")]
)
def test_verdicts(second: float, verdict: str) -> None:
    """A direction only where the whole interval lies beyond 1%, 'same' only where within."""
    rng = np.random.default_rng(0)
    both = rng.normal(100, 1, (2, 200))
    found = Compared(list(both[0]), list(both[1] * second)).ratio
    assert found.verdict == verdict
    assert found.interval is not None
    assert found.interval[0] <= found.median <= found.interval[1]


def test_a_drift_of_both_does_not_reach_the_ratio() -> None:
    """Though each of them alone doubles."""
    drift = np.linspace(100, 200, 400)
    rng = np.random.default_rng(0)
    first, second = (list(drift * rng.normal(1, 0.01, 400)) for _ in range(2))
    assert ratio(first, second).verdict == "same"


def test_few_blocks_say_nothing() -> None:
    """No interval, and no verdict."""
    found = ratio([1.0] * 8, [2.0] * 8)
    assert found.interval is None
    assert found.verdict == "ambiguous"
