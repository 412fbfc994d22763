"""A comparison as pictures: how great the effects are, and the samples they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter

from modelbench.measurement.comparison.comparison import Comparison, Pair
from modelbench.measurement.comparison.effect import Effect
from modelbench.results.canvas import STYLES, panels, saved

MOST_EFFECTS, MOST_PANELS, ROW = 25, 9, 3
BINS = 40
GOOD = {True: "#009E73", False: "#D55E00", None: "#56B4E9"}
SIDES = ("baseline", "candidate")


def draw(found: Comparison, directory: Path) -> list[str]:
    """Draw both pictures; return the files."""
    effects = [effect for effect in found.effects if effect.ratio and effect.known == "sampled"]
    files = []
    if effects:
        files += saved(_effects(effects[:MOST_EFFECTS], found.threshold), directory, "effects")
    phases = list(_phases(found.pairs))[:MOST_PANELS]
    if phases:
        files += saved(_distributions(phases), directory, "distributions")
    return files


def _effects(effects: Sequence[Effect], threshold: float) -> Any:
    figure, (panel,) = panels()
    figure.set_size_inches(9, 1.4 + 0.32 * len(effects))
    panel.axvspan(1 / (1 + threshold), 1 + threshold, color="0.9", label="within the threshold")
    panel.axvline(1, color="0.4", linewidth=1)
    for place, effect in enumerate(reversed(effects)):
        assert effect.ratio is not None
        low, high = effect.ratio.interval
        colour = GOOD[effect.good] if effect.verdict != "SAME" else "0.4"
        panel.plot([low, high], [place, place], color=colour, linewidth=2.5)
        panel.plot(effect.ratio.value, place, "o", color=colour)
        panel.annotate(effect.verdict, (1.01, place), xycoords=("axes fraction", "data"),
                       va="center", fontsize=8, annotation_clip=False)  # fmt: skip
    names = [f"{e.job}: {e.name}" if e.job else e.name for e in reversed(effects)]
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    panel.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    panel.tick_params(axis="x", which="both", labelsize=8)
    panel.margins(y=0.03 + 0.2 / len(effects))
    panel.set_xlabel("candidate / baseline, with its 95% interval")
    return figure


def _phases(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[list[float]], list[list[float]]]]:
    """Yield what is compared, the samples of both, and the medians of their processes."""
    for pair in pairs:
        stages = [side["stages"].get("benchmark", {}) for side in (pair.baseline, pair.candidate)]
        series = [stage.get("series", {}) for stage in stages]
        for name in series[0]:
            if name.endswith("/samples_ms") and all(each.get(name) for each in series):
                phase = name.split("/")[1]
                medians = [
                    [process["p50_ms"] for process in stage["details"][phase].get("processes", [])]
                    for stage in stages
                ]
                title = f"{pair.job}\n{phase}" if pair.job else phase
                yield title, [each[name] for each in series], medians


def _distributions(phases: Sequence[tuple[str, list[list[float]], list[list[float]]]]) -> Any:
    from matplotlib.figure import Figure

    columns = min(ROW, len(phases))
    rows = ceil(len(phases) / columns)
    figure = Figure(figsize=(max(6, 4.2 * columns), 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (title, samples, medians) in zip(grid, phases, strict=False):
        both = np.concatenate([np.asarray(side) for side in samples])
        low, high = np.percentile(both, (0.5, 99.5))
        edges = np.geomspace(max(low, 1e-9), max(high, low * 1.01), BINS)
        for side, values, middles, style in zip(SIDES, samples, medians, STYLES, strict=False):
            weights = np.full(len(values), 1 / len(values))
            panel.hist(values, edges, weights=weights, histtype="stepfilled", alpha=0.35,
                       color=style[0], label=side)  # fmt: skip
            for middle in middles:  # one line for each process
                panel.axvline(middle, color=style[0], linewidth=1,
                              linestyle="-" if side == SIDES[0] else "--")  # fmt: skip
        panel.set(title=title, xlabel="ms", ylabel="share of samples")
        panel.title.set_fontsize(9)
    grid[0].legend(fontsize=8)
    for panel in grid[len(phases) :]:
        panel.set_axis_off()
    return figure
