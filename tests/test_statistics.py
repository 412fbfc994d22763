"""Statistics of a sample are right, and absent where the sample cannot carry them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm
from simulated import MEDIAN, Array, bimodal, correlated, drifting, switching

from modelbench.measurement.timing.audit import of_samples
from modelbench.measurement.timing.statistics import Statistics, two_groups


def test_known_figures() -> None:
    """Median, mean and deviation of 1 to 9."""
    found = Statistics.of([5, 1, 9, 3, 7, 2, 8, 4, 6])
    assert (found.samples, found.median, found.mean) == (9, 5, 5)
    assert found.deviation == pytest.approx(2.7386, abs=1e-4)
    assert found.interval is not None
    assert 1 < found.interval[0] < 3  # the 95% interval of 9 lies between ranks 2 and 8, nearly
    assert sum(found.interval) == pytest.approx(10)
    assert Statistics.of([1, 2, 3, 4, 5, 6, 7, 8, 99]).outliers == 1


@pytest.mark.parametrize(
    ("samples", "percentiles"),
    [(1, []), (63, []), (64, [90]), (130, [90, 95]), (661, [90, 95]), (662, [90, 95, 99])],
)
def test_percentiles_only_where_the_sample_carries_them(
    samples: int, percentiles: list[int]
) -> None:
    """64 samples for p90, 130 for p95, 662 for p99."""
    found = Statistics.of([1.0] * samples)
    assert list(found.percentiles) == percentiles
    assert (found.deviation is None) == (samples == 1)
    assert (found.interval is None) == (samples < 6)


@pytest.mark.parametrize(
    ("lag", "count"), [(0, 100), (0, 400), (0.3, 100), (0.6, 300), (0.8, 300), (0.9, 1000)]
)
def test_the_interval_covers_the_median(lag: float, count: int) -> None:
    """93 to 97 times in 100, also of correlated samples; 500 trials have a deviation of 1 point."""
    rng = np.random.default_rng(4)
    trials = [Statistics.of(list(correlated(rng, count, lag))) for _ in range(500)]
    claimed = [trial for trial in trials if trial.covers]
    assert len(claimed) >= 0.95 * len(trials)
    covered = sum(t.interval[0] <= MEDIAN <= t.interval[1] for t in claimed if t.interval)
    assert 0.93 <= covered / len(claimed) <= 0.97


@pytest.mark.parametrize(("lag", "count"), [(0.8, 100), (0.9, 100), (0.95, 100), (0.95, 300)])
def test_an_interval_seldom_claims_and_misses(lag: float, count: int) -> None:
    """At most 5 times in 100 and what chance adds, where samples are too few for their lag."""
    rng = np.random.default_rng(4)
    trials = [Statistics.of(list(correlated(rng, count, lag))) for _ in range(500)]
    claimed = [trial.interval for trial in trials if trial.covers and trial.interval]
    missed = sum(not low <= MEDIAN <= high for low, high in claimed)
    assert missed / len(trials) <= 0.07


def test_few_samples_claim_less() -> None:
    """Under 100, the interval takes them as independent, and covers 95 in 100 if they are."""
    rng = np.random.default_rng(4)
    trials = [Statistics.of(list(correlated(rng, 40, 0))) for _ in range(500)]
    assert not any(trial.covers for trial in trials)
    covered = sum(t.interval[0] <= MEDIAN <= t.interval[1] for t in trials if t.interval)
    assert 0.93 <= covered / 500 <= 0.99


def test_the_interval_covers_the_median_of_two_groups() -> None:
    """And the audit tells of them each time."""
    rng = np.random.default_rng(5)
    trials = [bimodal(rng, 200) for _ in range(500)]
    median = 100 + norm.ppf(0.5 / 0.7)
    found = [Statistics.of(list(trial)) for trial in trials]
    covered = sum(f.interval[0] <= median <= f.interval[1] for f in found if f.interval)
    assert 0.93 <= covered / len(trials) <= 0.97
    assert all(two_groups(trial) for trial in trials)


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda rng: drifting(rng, 200, by=0.1), "drift by +"),
        (lambda rng: drifting(rng, 200, by=-0.1), "drift by -"),
        (lambda rng: bimodal(rng, 200), "bimodal, around "),
        (lambda rng: switching(rng, 400), "bimodal, around "),
        (lambda rng: correlated(rng, 100, 0.99), "samples "),
    ],
    ids=["up", "down", "two groups", "switching", "correlated"],
)
def test_samples_that_no_interval_describes_are_told(
    draw: Callable[[np.random.Generator], Array], told: str
) -> None:
    """In 9 of 10 trials or more."""
    rng = np.random.default_rng(6)
    trials = [draw(rng) for _ in range(100)]
    said = [of_samples(list(trial)) for trial in trials]
    assert sum(any(told in line for line in lines) for lines in said) >= 90


@pytest.mark.parametrize("lag", [0, 0.3, 0.6])
def test_quiet_samples_have_an_empty_audit(lag: float) -> None:
    """In 97 of 100 trials or more."""
    rng = np.random.default_rng(7)
    trials = [list(correlated(rng, 300, lag)) for _ in range(300)]
    assert sum(not of_samples(trial) for trial in trials) >= 291


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_sample_is_refused(values: list[float]) -> None:
    """NaN is no time."""
    with pytest.raises(ValueError, match="expected one or more finite values"):
        Statistics.of(values)


def test_samples_that_are_all_alike() -> None:
    """An interval of no width, and nothing to tell."""
    found = Statistics.of([2.0] * 200)
    assert found.interval == (2, 2)
    assert found.effective == 200
    assert of_samples([2.0] * 200) == []
