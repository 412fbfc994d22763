"""What the charts of a page have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelbench.results.canvas import STYLES
from modelbench.sinks.report.jobs import Jobs

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
MOST_SERIES = 12
"""Names in a legend."""
WIDE = 30
"""Times from the least to the greatest value, from which on a scale is logarithmic."""
LOG = {"type": "log", "nice": False, "padding": 12}
COLOURS = [style[0] for style in STYLES]
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif'
CONFIG: Spec = {
    "font": FONT,
    "background": "white",
    "range": {"category": COLOURS},
    "axis": {"grid": True, "gridColor": "#e5e5e5", "labelFontSize": 12, "titleFontSize": 13},
    "legend": {"labelFontSize": 12, "titleFontSize": 13, "labelLimit": 300, "orient": "bottom",
               "columns": 3},
    "title": {"fontSize": 14, "anchor": "start"},
    "view": {"stroke": None},
}  # fmt: skip


def head(description: str) -> Spec:
    """Return what every chart begins with."""
    return {"$schema": SCHEMA, "description": description, "config": CONFIG}


def series(jobs: Jobs, but: Sequence[str]) -> list[str]:
    """Return each job's group, by which it is coloured: few enough for a legend to be read."""
    keys = [key for key in jobs.varied if key not in but]
    while keys:
        left_out = [key for key in jobs.varied if key not in keys]
        labels = [jobs.label(row, left_out) or "others" for row in jobs.rows]
        if len(set(labels)) <= MOST_SERIES:
            return labels
        # What has most values is left to the tooltip.
        keys.remove(max(keys, key=lambda key: len({str(row.get(key)) for row in jobs.rows})))
    return ["" for _ in jobs.rows]


def coloured(groups: Sequence[str]) -> Spec:
    """Return the encodings by which groups are told apart: colour and shape."""
    if len(set(groups)) < 2:
        return {"color": {"value": COLOURS[0]}}
    names = sorted(set(groups))
    return {
        "color": {"field": "group", "type": "nominal", "title": None, "scale": {"domain": names}},
        "shape": {"field": "group", "type": "nominal", "title": None, "scale": {"domain": names}},
    }


def short(value: float | None) -> float | None:
    """Round to what a chart can show: there are many of them."""
    return None if value is None else float(f"{value:.5g}")


def spreads(values: Sequence[float]) -> bool:
    """Return whether values are so far apart that a scale has to be logarithmic."""
    return min(values) > 0 and max(values) > WIDE * min(values)
