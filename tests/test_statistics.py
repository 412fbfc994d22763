"""Statistics of a sample are right, and absent where the sample cannot carry them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelbench.measure.statistics import Statistics
from modelbench.measure.timing import Rule, time_call


def test_known_figures() -> None:
    """Median, mean and deviation of 1 to 9."""
    found = Statistics.of(list(range(1, 10)))
    assert (found.samples, found.median, found.mean) == (9, 5, 5)
    assert found.deviation == pytest.approx(2.7386, abs=1e-4)
    assert found.interval == (2, 8)  # ranks 2 and 8: 1 - 2 * (1 + 9) / 2**9 = 0.961


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


def test_the_interval_covers_the_median() -> None:
    """95 times in 100, for skewed samples of 30; 1000 trials have a deviation of 0.7 points."""
    rng = np.random.default_rng(0)
    trials = [Statistics.of(rng.lognormal(size=30).tolist()).interval for _ in range(1000)]
    covered = sum(low <= 1 <= high for low, high in filter(None, trials))
    assert 940 <= covered <= 980  # the exact level for 30 samples is 0.957


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_sample_is_refused(values: list[float]) -> None:
    """NaN is no time."""
    with pytest.raises(ValueError, match="expected one or more finite values"):
        Statistics.of(values)


def test_when_sampling_ends() -> None:
    """Count and duration both, or the budget; never without a sample."""
    rule = Rule(budget_s=20, min_samples=30, min_s=2)
    assert not rule.enough(29, 10)
    assert not rule.enough(500, 1.9)
    assert rule.enough(30, 2)
    assert rule.enough(3, 20)
    assert not rule.enough(0, 100)


def test_samples_are_taken_in_inference_mode() -> None:
    """As many as the rule asks for, each a time; the first call and the warm-up stand apart."""
    modes = []
    rule = Rule(budget_s=20, min_samples=30, min_s=0, warmup_s=0.001)
    timing = time_call(
        lambda: modes.append(torch.is_inference_mode_enabled()), rule, torch.device("cpu")
    )
    assert len(timing.samples_ms) == 30
    assert timing.complete
    assert all(modes)
    assert len(modes) == timing.warmup_calls + 30
    assert timing.first_call_ms > 0


def test_a_budget_for_one_call() -> None:
    """One sample, and it says that it is not what was asked for."""
    rule = Rule(budget_s=1e-9, min_samples=30, warmup_s=0)
    timing = time_call(lambda: None, rule, torch.device("cpu"))
    assert len(timing.samples_ms) == 1
    assert not timing.complete


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_sample_on_cuda_waits_for_the_device() -> None:
    """A matrix product takes its time, not that of its launch: 4096**3 MACs at most 1 PFLOP/s."""
    a = torch.rand(4096, 4096, device="cuda")
    timing = time_call(lambda: a @ a, Rule(min_s=0.1), torch.device("cuda"))
    assert min(timing.samples_ms) > 2 * 4096**3 / 1e15 * 1e3
