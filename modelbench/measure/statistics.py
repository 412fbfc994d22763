"""What a sample of times carries, and no more than that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Samples that a percentile needs, at 99% confidence: MLPerf LoadGen, "Early stopping criterion".
NEEDED = {90: 64, 95: 130, 99: 662}


@dataclass(frozen=True)
class Statistics:
    """Of times in milliseconds; None where the sample cannot carry the figure."""

    samples: int
    median: float
    mean: float
    deviation: float | None
    """Standard deviation of the samples (n - 1)."""
    interval: tuple[float, float] | None
    """95% confidence interval of the median, from order statistics."""
    percentiles: dict[int, float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistics:
        """Compute the statistics of one or more finite `values`.

        The interval inverts the sign test (scipy.stats.quantile_test); it assumes no distribution,
        but independent samples, and needs six of them.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.size == 0 or not np.isfinite(array).all():
            raise ValueError(f"expected one or more finite values, found {list(values)[:5]}")
        return cls(
            samples=array.size,
            median=float(np.median(array)),
            mean=float(array.mean()),
            deviation=float(array.std(ddof=1)) if array.size > 1 else None,
            interval=_median_interval(array),
            percentiles={
                p: float(np.percentile(array, p)) for p, n in NEEDED.items() if array.size >= n
            },
        )


def _median_interval(array: np.ndarray) -> tuple[float, float] | None:
    if array.size < 6:  # 2 * 0.5**5 is over 5%
        return None
    interval = stats.quantile_test(array, q=float(np.median(array)), p=0.5).confidence_interval(
        0.95
    )
    return float(interval.low), float(interval.high)
