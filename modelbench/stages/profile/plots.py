"""Bars of the slowest layers, blocks within blocks, and one call over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelbench.measurement.profiling.layer_times import LayerTimes
from modelbench.results.canvas import STYLES, panels, saved
from modelbench.stages.profile.rows import Row
from modelbench.stages.profile.tree import Branch

LONGEST = 44
"""Characters of a name."""
LEVELS = 9
"""Modules within modules that are drawn."""
OTHER = "0.75"
"""The colour of what is not among the classes that take most time."""
PER_CHARACTER = 0.0085
"""Of a figure's width, that a character of a label takes."""
MOST_BOXES = 4000


def draw_bars(rows: Sequence[Row], title: str, directory: Path, name: str) -> list[str]:
    """Draw the own time of the slowest layers with intervals, beside their share of the MACs."""
    figure, (times, macs) = panels(2, sharey=True)
    figure.set_size_inches(10, 1.6 + 0.28 * len(rows))
    places = np.arange(len(rows))
    own = [row.own_ms for row in rows]
    low = [
        max(0.0, row.own_ms - (row.own_ms if row.low_ms is None else row.low_ms)) for row in rows
    ]
    high = [
        max(0.0, (row.own_ms if row.high_ms is None else row.high_ms) - row.own_ms) for row in rows
    ]
    layers = [row.leaf for row in rows]
    (blue, *_), (orange, _, hatch) = STYLES[0], STYLES[1]
    colours = [blue if leaf else orange for leaf in layers]
    reaches = np.maximum(0.0, [low, high])
    bars = times.barh(places, own, xerr=reaches, color=colours, ecolor="black", capsize=2)
    for bar, leaf in zip(bars, layers, strict=True):
        bar.set_hatch("" if leaf else hatch)
        bar.set_edgecolor("white")
    for place, row in zip(places, rows, strict=True):
        times.annotate(f" {row.share:.1%}", (row.high_ms or row.own_ms, place), va="center",
                       fontsize="small")  # fmt: skip
    times.set_yticks(places, [_named(row) for row in rows],
                     fontsize="small")  # fmt: skip
    times.invert_yaxis()
    times.set(xlabel="own time, ms (95% interval)", title=f"{title}: slowest layers")
    times.set_xlim(left=0, right=1.15 * max([*own, *(row.high_ms or 0.0 for row in rows)]))
    rates = [row.gmacs_per_s or 0.0 for row in rows]
    macs.barh(places, rates, color=STYLES[2][0], hatch=STYLES[2][2], edgecolor="white")
    macs.set(xlabel="GMACs/s", title="how fast they compute")
    macs.set_xlim(right=1.3 * max([*rates, 1e-9]))
    for place, row in zip(places, rows, strict=True):
        if row.peak_share is not None:
            macs.annotate(f" {row.peak_share:.0%} of peak", (row.gmacs_per_s or 0.0, place),
                          va="center", fontsize="small")  # fmt: skip
    if not all(layers):
        from matplotlib.patches import Patch

        times.legend(handles=[
            Patch(facecolor=blue, label="layer"),
            Patch(facecolor=orange, hatch=hatch, edgecolor="white", label="between layers"),
        ], loc="lower right", fontsize="small")  # fmt: skip
    return saved(figure, directory, name)


@dataclass(frozen=True)
class Box:
    """One rectangle; x and width in milliseconds, y in levels."""

    start: float
    width: float
    level: int
    kind: str
    label: str


def draw_icicle(root: Branch, title: str, directory: Path, name: str) -> list[str]:
    """Draw blocks below those that they are in, as wide as their time."""
    boxes = list(_icicle(root, 0.0, 0))
    return _boxes(boxes, f"{title}: blocks within blocks, as wide as their time", directory, name)


def _icicle(branch: Branch, start: float, level: int) -> Iterator[Box]:
    yield Box(start, branch.total_ms, level, branch.kind, branch.label)
    if level + 1 >= LEVELS:
        return
    for child in sorted(branch.children, key=lambda child: -child.total_ms):
        yield from _icicle(child, start, level + 1)
        start += child.total_ms


def draw_timeline(times: LayerTimes, title: str, directory: Path, name: str) -> list[str]:
    """Draw one call: which module ran when, within which."""
    spans = times.spans
    if spans is None or not len(spans.module):
        return []
    first = spans.start.min()
    levels: list[int] = []
    boxes = []
    for number, parent, start, stop in zip(
        spans.module.tolist(), spans.parent.tolist(), spans.start, spans.stop, strict=True
    ):
        levels.append(levels[parent] + 1 if parent >= 0 else 0)
        if levels[-1] < LEVELS:
            kind, path = times.kinds[number], times.paths[number]
            boxes.append(Box((start - first) * 1e3, (stop - start) * 1e3, levels[-1], kind,
                             path.rpartition(".")[2] or kind))  # fmt: skip
    return _boxes(boxes, f"{title}: one call over time", directory, name)


def _boxes(boxes: list[Box], title: str, directory: Path, name: str) -> list[str]:
    """Draw boxes in rows, coloured by the classes that take most time."""
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    boxes = [box for box in sorted(boxes, key=lambda b: -b.width)[:MOST_BOXES] if box.width > 0]
    if not boxes:
        return []
    end = max(box.start + box.width for box in boxes)
    depth = max(box.level for box in boxes) + 1
    figure, (panel,) = panels()
    figure.set_size_inches(11, 1.9 + 0.42 * depth)
    colours = _colours(boxes)
    panel.add_collection(PolyCollection(
        [_corners(box) for box in boxes],
        facecolors=[colours.get(box.kind, OTHER) for box in boxes], edgecolors="white",
        linewidths=0.5, rasterized=len(boxes) > 500,
    ))  # fmt: skip
    for box in boxes:
        room = int(box.width / end / PER_CHARACTER)
        if room >= 3:
            dark = box.kind in colours and colours[box.kind] not in LIGHT
            panel.text(
                box.start + box.width / 2, box.level + 0.5, _shortened(box.label, room),
                ha="center", va="center", fontsize="small", color="white" if dark else "black",
                clip_on=True,
            )  # fmt: skip
    panel.set(xlim=(0, end), ylim=(depth, 0), xlabel="ms", title=title)
    panel.set_yticks([])
    panel.grid(visible=False)
    handles = [Patch(facecolor=colour, label=kind) for kind, colour in colours.items()]
    if any(box.kind not in colours for box in boxes):
        handles.append(Patch(facecolor=OTHER, label="other"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize="small",
                  frameon=False)  # fmt: skip
    return saved(figure, directory, name)


def _corners(box: Box) -> list[tuple[float, float]]:
    left, right, top, bottom = box.start, box.start + box.width, box.level, box.level + 0.94
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


LIGHT = {"#E69F00", "#56B4E9", "#CC79A7"}
"""Colours that black text is read on."""


def _colours(boxes: Sequence[Box]) -> dict[str, str]:
    """Return the colours of the classes that take most time in the deepest boxes."""
    spent: dict[str, float] = {}
    for box in boxes:
        spent[box.kind] = spent.get(box.kind, 0.0) + box.width * (1 + box.level)
    ranked = sorted(spent, key=lambda kind: -spent[kind])
    return {kind: style[0] for kind, style in zip(ranked, STYLES, strict=False)}


def _named(row: Row) -> str:
    """Name a layer; of a long path its end, which tells it apart."""
    path, kind = row.path or "(model)", f" {row.kind}" if row.kind else ""
    room = LONGEST - len(kind)
    return (path if len(path) <= room else f"…{path[1 - room :]}") + kind


def _shortened(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
