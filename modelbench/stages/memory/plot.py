"""What memory consists of: estimated beside measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelbench.results.canvas import panels, saved, styles

PEAK = "peak"


def draw_memory(bars: Mapping[str, Mapping[str, float]], title: str, directory: Path) -> list[str]:
    """Draw a stack for each bar, of parts in MiB, with a line at its `peak`; return the files.

    The parts are not all there at once: their sum may be over the peak. What of the peak is none
    of them is drawn as `other`.
    """
    figure, (panel,) = panels()
    parts = list(dict.fromkeys(p for bar in bars.values() for p in bar if p != PEAK))
    heights = dict.fromkeys(bars, 0.0)
    names = list(bars)
    for part, (colour, _, hatch) in zip(parts, styles(), strict=False):
        sizes = [bars[name].get(part, 0.0) for name in names]
        panel.bar(names, sizes, bottom=[heights[n] for n in names], label=part, color=colour,
                  hatch=hatch, edgecolor="white", width=0.6)  # fmt: skip
        for name, size in zip(names, sizes, strict=True):
            heights[name] += size
    other = [max(0.0, bars[n].get(PEAK, 0.0) - heights[n]) for n in names]
    panel.bar(names, other, bottom=[heights[n] for n in names], label="other", color="0.85",
              edgecolor="0.4", width=0.6)  # fmt: skip
    for place, name in enumerate(names):
        peak = bars[name].get(PEAK)
        if peak is not None:
            panel.plot([place - 0.38, place + 0.38], [peak, peak], color="black", linewidth=2.5)
            panel.annotate(f"peak {peak:,.4g}", (place, peak), xytext=(0, 4), ha="center",
                           textcoords="offset points", fontweight="bold",
                           bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8,
                                 "pad": 1})  # fmt: skip
    panel.set(ylabel="MiB", title=title)
    panel.set_ylim(top=1.12 * max(*heights.values(), *(b.get(PEAK, 0.0) for b in bars.values())))
    panel.legend(loc="upper left", fontsize="small")
    return saved(figure, directory, "plots/memory")
