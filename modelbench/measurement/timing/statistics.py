"""What a sample of times carries, and no more than that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

# Samples that a percentile needs, at 99% confidence: MLPerf LoadGen, "Early stopping criterion".
NEEDED = {90: 64, 95: 130, 99: 662}

LEAST = 6
"""Samples without which no interval is given."""

LEAST_TOLD = 100
"""Samples without which one cannot tell correlated from independent ones."""

LEAST_EFFECTIVE = 20
"""Independent samples that correlated ones must be worth for an interval to be believed; of few
samples, a fifth of them."""

LEAST_SEEN = 20
"""Samples without which neither drift nor groups are looked for."""

LAGS = np.arange(1, 2000)


@dataclass(frozen=True)
class Statistics:
    """Of times in milliseconds, in order; None where the sample cannot carry the figure."""

    samples: int
    median: float
    mean: float
    deviation: float | None
    """Standard deviation of the samples (n - 1)."""
    interval: tuple[float, float] | None
    """95% confidence interval of the median; None where the samples are worth too few."""
    effective: float
    """How many independent samples the correlated ones are worth."""
    percentiles: dict[int, float]
    outliers: int
    """Samples over 3 interquartile ranges outside the quartiles; they are kept."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistics:
        """Compute the statistics of one or more finite `values`; raises ValueError otherwise."""
        array = np.asarray(values, dtype=np.float64)
        if array.size == 0 or not np.isfinite(array).all():
            raise ValueError(f"expected one or more finite values, found {list(values)[:5]}")
        low, high = np.percentile(array, (25, 75))
        reach = 3 * (high - low)  # Tukey's outer fences
        effective = array.size / correlation_time(array)
        return cls(
            samples=array.size,
            median=float(np.median(array)),
            mean=float(array.mean()),
            deviation=float(array.std(ddof=1)) if array.size > 1 else None,
            interval=_interval(array, effective),
            effective=effective,
            percentiles={
                p: float(np.percentile(array, p)) for p, n in NEEDED.items() if array.size >= n
            },
            outliers=int(((array < low - reach) | (array > high + reach)).sum()),
        )

    @property
    def covers(self) -> bool:
        """Whether the interval covers the median 95 times in 100 also if samples are correlated."""
        return self.samples >= LEAST_TOLD and not too_correlated(self.samples, self.effective)

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width, relative to the median."""
        if self.interval is None or not self.median:
            return None
        return (self.interval[1] - self.interval[0]) / 2 / self.median


def correlation_time(array: Array) -> float:
    """Return how many samples in a row tell no more of the median than one, 1 or more.

    The variance of a median of correlated samples is that of independent ones times the integrated
    autocorrelation time of 'below the median'. Of two estimates the greater is taken: Geyer's
    initial monotone sequence (1992), which assumes no model, and that of a Gaussian process of
    first order with the ranks' correlation, which is steady in short samples.
    """
    if array.size < LEAST:
        return 1.0
    return max(1.0, _geyer((array <= np.median(array)).astype(float)), _first_order(array))


def too_correlated(count: int, effective: float) -> bool:
    """Return whether the effective sample size is too small for an interval."""
    return effective < min(LEAST_EFFECTIVE, count / 5)


def _interval(array: Array, effective: float) -> tuple[float, float] | None:
    """Take the ranks about the median's, as far as its binomial deviation says, and interpolate."""
    count = array.size
    if count < LEAST or too_correlated(count, effective):
        return None
    ordered = np.sort(array)
    reach = stdtrit(max(1.0, effective - 1), 0.975) * count / np.sqrt(effective) / 2
    ranks = np.arange(1, count + 1)
    low, high = np.interp([(count + 1) / 2 - reach, (count + 1) / 2 + reach], ranks, ordered)
    return float(low), float(high)


def _geyer(below: Array) -> float:
    count, centred = below.size, below - below.mean()
    variance = float((centred * centred).mean())
    if variance == 0:
        return 1.0
    spectrum = np.fft.rfft(centred, 2 * count)
    autocorrelation = np.fft.irfft(spectrum * spectrum.conj())[:count] / (count * variance)
    pairs = autocorrelation[0:-1:2] + autocorrelation[1::2][: len(autocorrelation[0:-1:2])]
    ends = np.flatnonzero(pairs <= 0)
    positive = pairs[: ends[0]] if ends.size else pairs
    return float(2 * np.minimum.accumulate(positive).sum() - 1) if positive.size else 1.0


def _first_order(array: Array) -> float:
    count = array.size
    scores = ndtri((_ranks(array) - 0.5) / count)
    power = float((scores * scores).sum())
    if power == 0:
        return 1.0
    lag = float((scores[1:] * scores[:-1]).sum()) / power
    lag = min(lag + (1 + 3 * lag) / count, 0.999)  # Kendall 1954: the estimate's bias
    if lag <= 0:
        return 1.0
    # 'Below the median' of two normal scores with correlation r correlates by 2/pi asin(r).
    return 1 + 2 * float((2 / np.pi * np.arcsin(lag**LAGS)).sum())


def _ranks(array: Array) -> Array:
    """Return each value's rank from 1; equal ones share the middle of theirs."""
    _, place, counts = np.unique(array, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def trend(array: Array) -> float | None:
    """Return how much the samples drift from their first third to the last, relative to the median.

    None where that is no more than chance: a rank correlation with time over 3.3 deviations, in
    independent samples once in a thousand, and over 1%.
    """
    count = array.size
    if count < LEAST_SEEN:
        return None
    third = count // 3
    moved = float(np.median(array[-third:]) - np.median(array[:third])) / float(np.median(array))
    if not abs(moved) > 0.01:
        return None
    from scipy import stats  # takes half a second, which most samples do not need

    when = np.arange(count)
    few = slice(None, None, max(1, count // 300))  # the slope takes time in their number squared
    slope, intercept, *_ = stats.theilslopes(array[few], when[few])
    effective = count / correlation_time(array - (slope * when + intercept))
    rank = stats.spearmanr(when, array).statistic
    return moved if abs(rank) * np.sqrt(max(0.0, effective - 1)) > 3.3 else None


def two_groups(array: Array) -> tuple[float, float] | None:
    """Return the centres of two groups that the samples fall into, or None.

    Otsu's split (1979) into groups of a tenth or more that lie over 5 of Ashman's D (1994) and 2%
    apart; halves of a normal distribution are 2.7 apart, of a uniform one 3.5.
    """
    count = array.size
    if count < LEAST_SEEN:
        return None
    ordered = np.sort(array)
    sizes = np.arange(1, count)
    sums = np.cumsum(ordered)
    low = sums[:-1] / sizes
    high = (sums[-1] - sums[:-1]) / (count - sizes)
    between = sizes * (count - sizes) * (high - low) ** 2
    tenth = max(1, count // 10)
    cut = int(np.argmax(between[tenth - 1 : count - tenth])) + tenth
    left, right = ordered[:cut], ordered[cut:]
    spread = np.sqrt(left.var() + right.var())
    apart = float(right.mean() - left.mean())
    if apart * np.sqrt(2) <= 5 * spread or apart <= 0.02 * float(np.median(array)):
        return None
    return float(np.median(left)), float(np.median(right))
