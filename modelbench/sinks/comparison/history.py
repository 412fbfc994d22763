"""A metric over the past: as a table, and as a page with a chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelbench.measurement.comparison.meaning import Better
from modelbench.sinks.report.chart_parts import head
from modelbench.sinks.report.html import render
from modelbench.sinks.report.vega import libraries, safe

SHORT = 9
"""Characters of a commit."""
RECENT = 10


class Run(Protocol):
    """One run of a series."""

    at: Any
    commit: str
    value: float
    low: float | None
    high: float | None
    where: str


class Past(Protocol):
    """Runs of one and the same."""

    @property
    def of(self) -> str:
        """What they were run with."""

    @property
    def points(self) -> Sequence[Any]:
        """The runs."""

    @property
    def changes(self) -> list[int]:
        """Places of the first runs after a change."""

    @property
    def levels(self) -> list[tuple[int, int, float]]:
        """First and last place between changes, and the median there."""


def changes(series: Past, better: Better) -> list[str]:
    """Return a line for each change: where, by how much, and whether that is good."""
    lines = []
    for (_, _, before), (first, _, after) in pairwise(series.levels):
        point = series.points[first]
        up = after > before
        good = {"neither": "", "higher": ", better" if up else ", worse",
                "lower": ", worse" if up else ", better"}[better]  # fmt: skip
        lines.append(
            f"changed from {before:,.4g} to {after:,.4g} ({after / before - 1:+.1%}{good}) at "
            f"{_named(point)} of {point.at:%Y-%m-%d %H:%M}"
            if before
            else f"changed from 0 to {after:,.4g} at {_named(point)}"
        )
    return lines


def _named(point: Any) -> str:
    return f"commit {point.commit[:SHORT]}" if point.commit else f"the run {point.where}"


def table(metric: str, found: Sequence[Past], better: Better) -> RenderableType:
    """Lay it out for the terminal: the latest runs of each series, and its changes."""
    parts: list[RenderableType] = []
    for series in found:
        rows = Table(title=f"{metric}: {series.of}", title_justify="left", box=None,
                     padding=(0, 2, 0, 0), header_style="dim")  # fmt: skip
        for column in ("time", "commit", "value", "95% interval"):
            rows.add_column(column, justify="right" if column == "value" else "left")
        for point in series.points[-RECENT:]:
            ends = f"{point.low:,.4g} to {point.high:,.4g}" if point.low is not None else ""
            rows.add_row(f"{point.at:%Y-%m-%d %H:%M}", point.commit[:SHORT],
                         f"{point.value:,.4g}", ends)  # fmt: skip
        parts.append(rows)
        if len(series.points) > RECENT:
            parts.append(Text(f"the latest {RECENT} of {len(series.points)} runs", style="dim"))
        told = changes(series, better) or ["no change found"]
        parts += [Text(line, style="yellow" if "changed" in line else "dim") for line in told]
    return Group(*parts)


def chart(metric: str, found: Sequence[Past]) -> dict[str, Any]:
    """Return the chart: runs in order with their intervals, the level between changes."""
    rows = [
        {"series": series.of, "place": place, "value": point.value, "low": point.low,
         "high": point.high, "commit": point.commit[:SHORT], "time": point.at.isoformat(),
         "run": point.where}
        for series in found
        for place, point in enumerate(series.points)
    ]  # fmt: skip
    levels = [
        {"series": series.of, "from": first - 0.4, "to": last + 0.4, "level": level}
        for series in found
        for first, last, level in series.levels
    ]
    marks = [
        {"series": series.of, "place": place - 0.5} for series in found for place in series.changes
    ]
    colour = {"field": "series", "type": "nominal", "title": None,
              "legend": {"columns": 1} if len(found) > 1 else None}  # fmt: skip
    x = {"field": "place", "type": "quantitative", "title": "runs, in order of time",
         "axis": _commits(found)}  # fmt: skip
    y = {"type": "quantitative", "title": metric, "scale": {"zero": False}}
    tooltip = [{"field": key} for key in ("time", "commit", "value", "run")]
    layers: list[dict[str, Any]] = [
        {"data": {"values": levels}, "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.5},
         "encoding": {"x": {**x, "field": "from"}, "x2": {"field": "to"},
                      "y": {**y, "field": "level"}, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 50},
         "encoding": {"x": x, "y": {**y, "field": "value"}, "color": colour, "tooltip": tooltip}},
    ]  # fmt: skip
    if marks:
        layers.insert(0, {"data": {"values": marks},
                          "mark": {"type": "rule", "strokeDash": [4, 4], "color": "#a40e26"},
                          "encoding": {"x": x}})  # fmt: skip
    if any(row["low"] is not None for row in rows):
        layers.insert(0, {"transform": [{"filter": "isValid(datum.low)"}],
                          "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.35},
                          "encoding": {"x": x, "y": {**y, "field": "low"},
                                       "y2": {"field": "high"}, "color": colour}})  # fmt: skip
    return {**head(f"{metric} over the past"), "width": 900, "height": 420,
            "data": {"values": rows}, "layer": layers}  # fmt: skip


def _commits(found: Sequence[Past]) -> dict[str, Any]:
    """Label runs by their commit, the first of each; of several series, by their number."""
    points = found[0].points
    if len(found) > 1 or not any(point.commit for point in points):
        return {"tickMinStep": 1, "format": "d"}
    names = {
        place: point.commit[:SHORT]
        for place, point in enumerate(points)
        if not place or point.commit != points[place - 1].commit
    }
    label = f"({json.dumps(names)})[datum.value]"
    return {"values": list(names), "labelExpr": label, "labelAngle": -40, "labelOverlap": True}


def page(metric: str, found: Sequence[Past], better: Better) -> str:
    """Return the whole page."""
    return render(
        "history.html.j2", title=f"History of {metric}", metric=metric,
        told=[(series.of, changes(series, better), list(series.points)) for series in found],
        charts=[{"name": "history"}], spec=safe(chart(metric, found)),
        libraries=libraries(charts=True),
    )  # fmt: skip
