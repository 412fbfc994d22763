"""The times of one phase: every sample in order, and how they are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelbench.results.canvas import STYLES, panels, saved
from modelbench.system.file_name import file_name

MOST_BINS = 60


@dataclass(frozen=True)
class Samples:
    """Of one phase, in milliseconds."""

    samples: Sequence[float]
    median: float
    interval: tuple[float, float] | None
    """The median's, 95%."""


def latency(phase: str, found: Samples, title: str, directory: Path) -> list[str]:
    """Draw the samples with their median and its interval; return the files."""
    samples_ms, median, interval = found.samples, found.median, found.interval
    colour, marker = STYLES[0][:2]
    figure, (order, spread) = panels(2, sharey=True, width_ratios=(2, 1))
    figure.set_size_inches(9, 4)
    # Thousands of points are a picture; the axes and the text stay vectors.
    order.plot(samples_ms, marker, color=colour, markersize=3, alpha=0.6, rasterized=True)
    # A single outlier would squeeze all others into one line.
    low, high = np.percentile(samples_ms, (1, 99))
    room = max(0.3 * (high - low), 0.01 * median)
    shown = max(0.0, low - room), high + room
    outside = sum(not shown[0] <= sample <= shown[1] for sample in samples_ms)
    bins = min(MOST_BINS, 4 + math.isqrt(4 * len(samples_ms)))
    spread.hist(
        samples_ms, bins=bins, range=shown, orientation="horizontal", color=colour,
        edgecolor="white", linewidth=0.3,
    )  # fmt: skip
    told = f"median {median:,.4g} ms"
    for panel in (order, spread):
        panel.axhline(median, color="black", linewidth=1.2, label=told)
        if interval is not None:
            told_interval = f"95% CI: {interval[0]:,.4g} to {interval[1]:,.4g} ms"
            panel.axhspan(*interval, color="black", alpha=0.2, linewidth=0, label=told_interval)
    for panel in (order, spread):
        panel.xaxis.get_major_locator().set_params(integer=True)
    order.set(xlabel="sample", ylabel="latency, ms", ylim=shown, title=title)
    spread.set(xlabel="samples", title=f"{outside:,} outside the plot" if outside else "")
    spread.legend(loc="upper right", fontsize="small")
    return saved(figure, directory, f"plots/latency-{file_name(phase)}")
