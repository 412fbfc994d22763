"""How latency, memory and MACs grow with a size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelbench.results.canvas import panels, plain_logs, saved, sized_axis, styles

LABELS = {
    "p50_ms": "median latency, ms",
    "peak_mib": "peak memory, MiB",
    "macs_g": "GMACs",
}


def growth(
    curves: Mapping[str, Mapping[int, float]], axis: str, title: str, directory: Path
) -> list[str]:
    """Draw the curves over the sizes of an axis, both axes logarithmic; return the files."""
    drawn = {name: points for name, points in curves.items() if points}
    figure, row = panels(len(drawn))
    for panel, (name, points), style in zip(row, drawn.items(), styles(), strict=False):
        sizes, values = list(points), list(points.values())
        panel.loglog(sizes, values, style[1], color=style[0], linestyle="-", markersize=7)
        sized_axis(panel, axis, sizes)
        plain_logs(panel.yaxis)
        panel.set_ylabel(LABELS[name])
    figure.suptitle(title)
    return saved(figure, directory, f"plots/dynamic-{axis}")
