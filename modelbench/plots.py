"""Plots of results, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from modelbench.measure.roofline import Place

# Okabe and Ito's colours, told apart by everybody, each with a marker for black and white.
STYLES = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"),
          ("#E69F00", "v"), ("#56B4E9", "P"), ("#000000", "X")]  # fmt: skip


def roofline(places: Mapping[str, Place], title: str, directory: Path) -> list[str]:
    """Draw each phase below the roof of the machine; give the files."""
    figure, axes = _figure()
    peaks = next(iter(places.values())).peaks
    found = [place.intensity for place in places.values()]
    low, high = min([*found, peaks.ridge]) / 8, max([*found, peaks.ridge]) * 8
    intensity = np.geomspace(low, high, 200)
    roof = np.minimum(peaks.macs_per_s, intensity * peaks.bytes_per_s)
    axes.loglog(intensity, roof / 1e9, color="black", linewidth=1.5)
    axes.text(
        high, peaks.macs_per_s / 1e9, f"matrix products: {peaks.macs_per_s / 1e9:,.0f} GMACs/s ",
        ha="right", va="bottom",
    )  # fmt: skip
    left = low * 1.5
    axes.text(
        left, left * peaks.bytes_per_s / 1e9, f"memory: {peaks.bytes_per_s / 1e9:,.0f} GB/s ",
        ha="left", va="top", rotation_mode="anchor",
    )  # fmt: skip
    for (name, place), (colour, marker) in zip(places.items(), _styles(len(places)), strict=True):
        label = f"{name}: {place.mfu:.0%} of the peak, {place.bound}"
        rate = place.macs / place.seconds / 1e9
        axes.plot(place.intensity, rate, marker, color=colour, markersize=9, label=label,
                  markeredgecolor="black", linestyle="none")  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="MACs for each byte moved", ylabel="GMACs/s", title=title)
    axes.grid(which="major", color="0.9")
    axes.legend(loc="lower right")
    return _saved(figure, directory, "plots/roofline")


GROWTH = {
    "p50_ms": "median of a call, ms",
    "peak_mib": "peak memory, MiB",
    "macs_g": "GMACs",
}


def growth(
    curves: Mapping[str, Mapping[int, float]], axis: str, title: str, directory: Path
) -> list[str]:
    """Draw latency, memory and MACs over the sizes of an axis, both axes logarithmic."""
    drawn = {name: points for name, points in curves.items() if points}
    figure, panels = _figure(columns=len(drawn))
    for panel, (name, points), style in zip(panels, drawn.items(), STYLES, strict=False):
        sizes, values = list(points), list(points.values())
        panel.loglog(sizes, values, style[1], color=style[0], linestyle="-", markersize=7)
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set(xlabel=axis, title=GROWTH[name])
        panel.grid(which="major", color="0.9")
    figure.suptitle(title)
    return _saved(figure, directory, f"plots/dynamic-{axis}")


def _styles(count: int) -> list[tuple[str, str]]:
    return [STYLES[index % len(STYLES)] for index in range(count)]


def _figure(columns: int = 0) -> tuple[Any, Any]:
    """Make a figure that no window is opened for, with one panel or a row of `columns`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * columns or 8, 4 if columns else 5), layout="constrained")
    if not columns:
        return figure, figure.subplots()
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _saved(figure: Any, directory: Path, name: str) -> list[str]:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    # Text stays text in the SVG, and the file is the same for the same data.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "modelbench"}):
        for ending in ("png", "svg"):
            figure.savefig(directory / f"{name}.{ending}", dpi=150, metadata=_undated(ending))
    return [f"{name}.png", f"{name}.svg"]


def _undated(ending: str) -> dict[str, None] | None:
    return {"Date": None} if ending == "svg" else None
