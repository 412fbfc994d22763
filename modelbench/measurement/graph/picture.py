"""The picture of a trace, no larger than a person can read on one screen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelbench.measurement.graph.dot import FONT_SIZE, short, source
from modelbench.measurement.graph.fold import view
from modelbench.measurement.graph.layout import Layout
from modelbench.measurement.graph.trace import Trace

SCREEN, LEGIBLE = 1600, 9
"""Pixels of the long side when a picture is seen whole, and of its text then, at least."""
LONGEST = FONT_SIZE * SCREEN / LEGIBLE
"""Points of the long side, so that it is so."""
PIXELS, DPI = 4000, 144
"""Of the PNG, at most."""
FEWER = 0.8
"""How many nodes are drawn of those that came out too large."""
FEWEST = 8


@dataclass(frozen=True)
class Limits:
    """Of one picture."""

    nodes: int
    depth: int | None
    """Levels of modules that are opened; None for as many as stay readable."""
    layout_s: float


@dataclass(frozen=True)
class Picture:
    """One architecture, drawn."""

    files: dict[str, bytes]
    """By ending, with the source as `dot`."""
    nodes: int
    """Drawn, inputs and output among them."""
    size: tuple[float, float]
    """Width and height in points."""

    @property
    def legible(self) -> bool:
        """Whether its text can be read when it is seen whole."""
        return max(self.size) <= LONGEST


def picture(trace: Trace, name: str, layout: Layout, limits: Limits) -> Picture:
    """Draw within the limits, with fewer nodes where the text came out too small.

    Raises LayoutError.
    """
    title = f"{name}: {short(trace.root.params)} params, {short(trace.macs)} MACs"
    most, depth = limits.nodes, limits.depth
    while True:
        drawn = view(trace, most - len(trace.inputs) - 1, depth)
        text = source(drawn, title)
        svg = layout.draw(text, "svg", limits.layout_s)
        size = _size(svg)
        if max(size) <= LONGEST or depth is not None or most <= FEWEST:
            break
        most = int(most * FEWER)
    files = {"dot": text.encode(), "svg": svg}
    dpi = min(DPI, int(PIXELS * 72 / max(size)))
    files["png"] = layout.draw(text, "png", limits.layout_s, dpi=dpi)
    nodes = sum(1 for _ in drawn.shown()) + len(trace.inputs) + 1
    return Picture(files, nodes, size)


def _size(svg: bytes) -> tuple[float, float]:
    found = re.search(rb'<svg width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert found is not None, svg[:500]
    return float(found[1]), float(found[2])
