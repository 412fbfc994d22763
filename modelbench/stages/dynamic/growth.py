"""How a figure grows with a size: the exponent of a power law, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import median, stdev

from scipy import stats

LEAST = 3
"""Points below which there is no exponent."""


@dataclass(frozen=True)
class Power:
    """`factor` times the size to the power of `exponent`, by least squares of the logarithms."""

    factor: float
    exponent: float
    interval: tuple[float, float]
    """The exponent's, 95%."""

    def at(self, size: float) -> float:
        """Return the figure at a size."""
        return float(self.factor * size**self.exponent)

    def size_of(self, figure: float) -> float:
        """Return the size at which the figure is reached."""
        return float((figure / self.factor) ** (1 / self.exponent))

    @classmethod
    def of(cls, points: Mapping[int, float]) -> Power | None:
        """Fit; None for fewer than three points, or where a figure is not positive."""
        if len(points) < LEAST or min(points.values()) <= 0:
            return None
        x, y = [log(size) for size in points], [log(figure) for figure in points.values()]
        fit = stats.linregress(x, y)
        reach = float(stats.t.ppf(0.975, len(points) - 2) * fit.stderr)
        exponent = float(fit.slope)
        return cls(exp(float(fit.intercept)), exponent, (exponent - reach, exponent + reach))

    @classmethod
    def over(cls, processes: Sequence[Mapping[int, float]]) -> Power | None:
        """Fit the medians of what several processes found, one mapping of sizes each.

        The interval is the wider of two: that of the fit, and that of what processes differ by.
        """
        whole = cls.of(medians(processes))
        each = [fit.exponent for points in processes if (fit := cls.of(points))]
        if whole is None or len(each) < 2:
            return whole
        reach = float(stats.t.ppf(0.975, len(each) - 1)) * stdev(each) / sqrt(len(each))
        reach = max(reach, whole.interval[1] - whole.exponent)
        return replace(whole, interval=(whole.exponent - reach, whole.exponent + reach))


def medians(processes: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return each size's median over the processes that ran it."""
    sizes = sorted({size for points in processes for size in points})
    return {size: median(points[size] for points in processes if size in points) for size in sizes}
