"""Where the median of many runs lies: processes differ, and so do the hours of a machine.

The interval of one process says how well that process was measured. Between processes and runs,
medians vary by more: the host's clock and neighbours, which cores share a cache, where memory lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from scipy.special import stdtrit

from modelbench.measurement.timing.record import Known
from modelbench.measurement.timing.statistics import Statistics

OF_MEDIAN = sqrt(np.pi / 2)
"""Standard errors of a median in those of a mean, of normal values."""
UNLIKE = 2
"""Times that this run's processes may differ by more than runs do, before that counts."""


@dataclass(frozen=True)
class Between:
    """A figure's median over processes, with two intervals of 95%."""

    median: float
    """Of all samples, each process weighing the same."""
    interval: tuple[float, float] | None
    """Where the median of many runs lies."""
    within: tuple[float, float] | None
    """The median's inside this run: of its samples, as if nothing changed from run to run."""
    spread: float | None
    """Standard deviation of the processes' medians, relative; None of one process."""
    rests_on: str
    """What the interval takes the variation from run to run from."""


def between(processes: Sequence[Sequence[float]], known: Known) -> Between:
    """Return where the median lies of samples (ms, in order) that several processes took.

    A random-effects model of the medians' logarithms: what the processes of this run differ by,
    and what is known to vary from run to run.
    """
    medians = [np.median(samples) for samples in processes]
    count, middle = len(medians), float(np.median(medians))
    spread = float(np.log(medians).std(ddof=1)) if count > 1 else None
    within = _within(processes, middle)
    if spread is not None:
        inside = (OF_MEDIAN * spread) ** 2 / count
    elif within is not None:
        inside = (log(within[1] / within[0]) / 2 / 1.96) ** 2
    else:
        return Between(middle, None, None, None, known.told)
    if known.reach is not None:  # what processes differ by is part of what their runs differed by
        reach = known.reach
        if count > 1 and sqrt(inside) > UNLIKE * known.spread:
            reach = max(reach, float(stdtrit(count - 1, 0.975)) * sqrt(inside))
    else:
        outside = known.spread**2
        parts = inside**2 / max(1, count - 1) + outside**2 / known.freedom
        freedom = (inside + outside) ** 2 / parts  # Satterthwaite 1946
        reach = float(stdtrit(freedom, 0.975)) * sqrt(inside + outside)
    interval = middle * exp(-reach), middle * exp(reach)
    return Between(middle, interval, within, spread, known.told)


def _within(processes: Sequence[Sequence[float]], middle: float) -> tuple[float, float] | None:
    """Join the processes' own intervals, as of a mean of independent medians."""
    ends = [Statistics.of(samples).interval for samples in processes]
    known = [end for end in ends if end is not None]
    if not known:
        return None
    reach = np.log([high / low for low, high in known]) / 2
    joined = float(np.sqrt((reach**2).mean() / len(processes)))
    return middle * exp(-joined), middle * exp(joined)
