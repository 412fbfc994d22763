"""The times of one phase: its samples process by process, the control, how they are distributed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelbench.results.canvas import beside_and_below, saved, styles
from modelbench.system.file_name import file_name

if TYPE_CHECKING:
    from modelbench.measurement.timing.control import Kind
    from modelbench.measurement.timing.timing import Timing
    from modelbench.stages.benchmark.samples import PhaseFigures

MOST_BINS = 60
PAUSE = 0.04
"""What stands for the time between two processes, of all the time that samples took."""


def draw_samples(phase: PhaseFigures, model: str, directory: Path) -> list[str]:
    """Draw the samples over time with both intervals, and the control below; return the files."""
    figure, (order, spread, below, corner) = beside_and_below()
    shown, outside = _range(phase)
    for timing, start, (colour, marker, _) in _placed(phase.timings):
        # Thousands of points are a picture; the axes and the text stay vectors.
        order.plot(
            start + np.asarray(timing.at_s), timing.samples_ms, marker, color=colour, markersize=3,
            alpha=0.6, rasterized=True,
        )  # fmt: skip
    colours = [style[0] for _, _, style in _placed(phase.timings)]
    bins = min(MOST_BINS, 4 + math.isqrt(4 * len(phase.samples_ms)))
    spread.hist(
        [timing.samples_ms for timing in phase.timings], bins=bins, range=shown, stacked=True,
        orientation="horizontal", color=colours, edgecolor="white", linewidth=0.3,
    )  # fmt: skip
    _intervals(phase, (order, spread))
    spread.xaxis.get_major_locator().set_params(integer=True)
    order.set(ylabel="latency, ms", ylim=shown, title=f"{model}: {phase.phase}")
    spread.set(xlabel="samples", title=f"{outside:,} outside the plot" if outside else "")
    _control(phase, below)
    _processes(phase.timings, below)
    for panel, place in ((order, "upper left"), (below, "lower left")):
        corner.add_artist(corner.legend(
            *panel.get_legend_handles_labels(), loc=place, fontsize="small", frameon=False,
        ))  # fmt: skip
    return saved(figure, directory, f"plots/latency-{file_name(phase.phase)}")


def _intervals(phase: PhaseFigures, panels: Sequence[Any]) -> None:
    found = phase.time
    for panel in panels:
        label = f"median {found.median:,.4g} ms"
        panel.axhline(found.median, color="black", linewidth=1.2, label=label)
        for name, ends, alpha in (
            ("in this run", found.within, 0.3), ("of many runs", found.interval, 0.12),
        ):  # fmt: skip
            if ends is not None:
                label = f"95% {name}: {ends[0]:,.4g} to {ends[1]:,.4g}"
                panel.axhspan(*ends, color="black", alpha=alpha, linewidth=0, label=label)


def _range(phase: PhaseFigures) -> tuple[tuple[float, float], int]:
    """Return the latencies to show, and how many samples lie outside.

    A single outlier, or a disturbed process, would squeeze all others into one line.
    """
    counted = [ms for timing in phase.counted for ms in timing.samples_ms]
    low, high = np.percentile(counted, (1, 99))
    ends = phase.time.interval or (low, high)
    low, high = min(low, ends[0]), max(high, ends[1])
    room = max(0.1 * (high - low), 0.01 * phase.time.median)
    shown = max(0.0, float(low) - room), float(high) + room
    return shown, sum(not shown[0] <= sample <= shown[1] for sample in phase.samples_ms)


def _control(phase: PhaseFigures, panel: Any) -> None:
    """Draw the fixed calculations, each against its own median."""
    kinds: list[Kind] = [phase.follows] if phase.follows else []
    kinds += [kind for kind in ("compute", "memory", "launch") if kind not in kinds]
    if not any(timing.rounds.at_s for timing in phase.timings):
        return
    for kind, (colour, marker, _) in zip(kinds, styles(), strict=False):
        usual = np.median([ms for timing in phase.timings for ms in timing.rounds.of(kind)])
        for number, (timing, start, _) in enumerate(_placed(phase.timings)):
            followed = ", followed" if kind == phase.follows else ""
            panel.plot(
                start + np.asarray(timing.rounds.at_s), np.asarray(timing.rounds.of(kind)) / usual,
                marker, color=colour, markersize=4, linestyle="-" if followed else ":",
                linewidth=1, label=f"{kind}{followed}" if number == 0 else None,
            )  # fmt: skip
    panel.set_ylabel("control\n(median = 1)")


def _processes(timings: Sequence[Timing], panel: Any) -> None:
    """Name the processes below the time axis, with the seconds since the first began."""
    middles, names = [], []
    for number, (timing, start, _) in enumerate(_placed(timings), start=1):
        middles.append(start + timing.at_s[-1] / 2)
        later = timing.began - timings[0].began
        names.append(f"{number}" + (f"\n+{later:.0f} s" if number > 1 else "\n"))
    panel.set_xticks(middles, names, fontsize="small")
    panel.set_xlabel("process, and when it began")
    panel.tick_params(axis="x", length=0)
    panel.grid(visible=False, axis="x")


def _placed(timings: Sequence[Timing]) -> Iterator[tuple[Timing, float, tuple[str, str, str]]]:
    """Yield each process with its place on the time axis and its style; gaps between are closed."""
    pause = PAUSE * sum(timing.at_s[-1] for timing in timings)
    start = 0.0
    for timing, style in zip(timings, styles(), strict=False):
        yield timing, start, style
        start += max(timing.at_s[-1], *timing.rounds.at_s, 0.0) + pause
