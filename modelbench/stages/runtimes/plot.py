"""Runtimes side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelbench.results.canvas import STYLES, panels, saved


def draw_runtimes(rows: Sequence[Sequence[Any]], title: str, directory: Path) -> list[str]:
    """Draw speed with its interval, and the file's size, a bar for each runtime."""
    figure, (speed, size) = panels(2, sharey=True)
    figure.set_size_inches(9, 1.8 + 0.5 * len(rows))
    places, names = np.arange(len(rows)), [str(row[0]) for row in rows]
    if len({row[1] for row in rows}) > 1:
        names = [f"{row[0]}, {row[1]}" for row in rows]
    speedups = [float(row[3]) for row in rows]
    low = [float(row[3]) - float(row[4] or row[3]) for row in rows]
    high = [float(row[5] or row[3]) - float(row[3]) for row in rows]
    speed.barh(places, speedups, xerr=np.maximum(0.0, [low, high]), color=STYLES[0][0],
               ecolor="black", capsize=3)  # fmt: skip
    speed.axvline(1.0, color="black", linewidth=1)
    for place, row in zip(places, rows, strict=True):
        end = float(row[5] or row[3])
        speed.annotate(f" {row[2]:,.3g} ms", (end, place), va="center", fontsize="small")
    speed.set_yticks(places, names)
    speed.invert_yaxis()
    speed.set(xlabel="times as fast as eager PyTorch (95% interval)", title=title)
    speed.set_xlim(0, 1.3 * max([1.0, *(float(row[5] or row[3]) for row in rows)]))
    size.barh(places, [float(row[7]) for row in rows], color=STYLES[1][0], hatch=STYLES[1][2],
              edgecolor="white")  # fmt: skip
    size.set(xlabel="size on disk, MiB")
    return saved(figure, directory, "plots/runtimes")
