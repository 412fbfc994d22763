"""The charts of a sweep in the language of Vega-Lite, which draws them in a page and in files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from modelbench.measurement.comparison.meaning import interval_of
from modelbench.sinks.report.chart_parts import (
    COLOURS,
    LOG,
    MOST_SERIES,
    Spec,
    coloured,
    head,
    series,
    short,
    spreads,
)
from modelbench.sinks.report.jobs import Jobs, Row, better
from modelbench.sinks.report.scatter import scatter

MOST_MULTIPLES, MOST_PARALLEL, MOST_CHOICES = 6, 8, 80
KNOWN = "isValid(datum.low) && datum.high < 10 * datum.low"
"""Intervals that are worth drawing: others would leave no room for all else."""
MANY = 30
"""Jobs from which on two metrics fill a page."""


def charts(jobs: Jobs) -> dict[str, tuple[str, Spec]]:
    """Return name -> what it shows, and its specification."""
    found: dict[str, tuple[str, Spec]] = {}
    metrics = jobs.differing[:MOST_CHOICES]
    if len(metrics) > 1:
        told = "Two metrics of your choice; the line joins the jobs that none beats in both"
        found["scatter"] = told, scatter(jobs, metrics)
    if multiples := _multiples(jobs):
        found["multiples"] = "Main metrics, with 95% intervals", multiples
    if len(jobs.main(MOST_PARALLEL)) > 1 and len(jobs.rows) > 2:
        told = "Main metrics side by side, a line for each job; up is better on each"
        found["parallel"] = told, _parallel(jobs)
    return found


def _multiples(jobs: Jobs) -> Spec | None:
    """Draw each main metric over the first size that was varied, else over the jobs in order."""
    over = next((axis for axis in jobs.axes if axis in jobs.varied and _swept(jobs, axis)), None)
    metrics = jobs.main(MOST_MULTIPLES if over or len(jobs.rows) <= MANY else 2)
    if not metrics:
        return None
    draw = _over if over else _in_order
    return {
        **head("Main metrics, with intervals"),
        "columns": 2,
        "concat": [draw(jobs, metric, over or "") for metric in metrics],
        "resolve": {"scale": {"color": "shared", "shape": "shared"}},
    }


def _swept(jobs: Jobs, axis: str) -> bool:
    """Return whether jobs that are alike else have several sizes: lines join no others."""
    return 2 * len({jobs.label(row, (axis,)) for row in jobs.rows}) <= len(jobs.rows)


def _over(jobs: Jobs, metric: str, axis: str) -> Spec:
    groups = series(jobs, (axis,))
    rows = [
        {"x": row[axis], "y": short(row[metric]), "group": groups[number],
         "line": jobs.label(row, (axis,)), "label": jobs.label(row),
         "link": f"{row['job']}/report.html", **_ends(row, metric)}
        for number, row in enumerate(jobs.rows)
        if row.get(axis) is not None and row.get(metric) is not None
    ]  # fmt: skip
    sizes = sorted({row["x"] for row in rows})
    few = {"values": sizes} if len(sizes) <= MOST_SERIES else {}
    x = {"field": "x", "type": "quantitative", "title": axis, "scale": LOG,
         "axis": {**few, "format": "d", "labelOverlap": True}}  # fmt: skip
    log = LOG if rows and min(row["y"] for row in rows) > 0 else {"zero": False}
    y = {"field": "y", "type": "quantitative", "title": metric, "scale": log}
    colour = coloured(groups)
    tooltip = [{"field": "label", "title": "job"}, {"field": "y", "title": metric}]
    rule = {
        "mark": {"type": "rule", "strokeWidth": 2}, "transform": [{"filter": KNOWN}],
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, **colour},
    }  # fmt: skip
    return {
        "width": 400, "height": 260, "data": {"values": rows},
        "layer": [
            {"mark": "line", "encoding": {"x": x, "y": y, "detail": {"field": "line"}, **colour}},
            *([rule] if any("low" in row for row in rows) else []),
            {"mark": {"type": "point", "filled": True, "size": 60},
             "encoding": {"x": x, "y": y, "tooltip": tooltip, "href": {"field": "link"}, **colour}},
        ],
    }  # fmt: skip


def _in_order(jobs: Jobs, metric: str, _: str) -> Spec:
    """Draw a dot for each job, the least first: readable of hundreds, as bars are not."""
    rows = [
        {"label": jobs.label(row), "y": short(row[metric]), "link": f"{row['job']}/report.html",
         **_ends(row, metric)}
        for row in jobs.rows
        if row.get(metric) is not None
    ]  # fmt: skip
    values = jobs.having(metric)
    scale = LOG if spreads(values) else {"zero": min(values) >= 0}
    x = {"field": "y", "type": "quantitative", "title": metric, "scale": scale}
    y = {"field": "label", "type": "nominal", "sort": {"field": "y"}, "title": None,
         "axis": {"labelLimit": 200, "labelFontSize": 10}}  # fmt: skip
    rule = {
        "mark": {"type": "rule", "strokeWidth": 2, "color": COLOURS[0]},
        "transform": [{"filter": KNOWN}],
        "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
    }  # fmt: skip
    return {
        "width": 300, "height": {"step": 13}, "data": {"values": rows},
        "layer": [
            *([rule] if any("low" in row for row in rows) else []),
            {"mark": {"type": "point", "filled": True, "size": 50, "color": COLOURS[0]},
             "encoding": {"x": x, "y": y, "href": {"field": "link"},
                          "tooltip": [{"field": "label"}, {"field": "y", "title": metric}]}},
        ],
    }  # fmt: skip


def _parallel(jobs: Jobs) -> Spec:
    """Draw a line for each job over the main metrics, each scaled so that up is better."""
    metrics = jobs.main(MOST_PARALLEL)
    groups = series(jobs, ())
    rows = [
        {"job": str(row["job"]), "label": jobs.label(row), "group": groups[number],
         "metric": metric, "value": short(row[metric]), "place": round(place, 4),
         "link": f"{row['job']}/report.html"}
        for metric in metrics
        for (number, row), place in zip(
            ((n, r) for n, r in enumerate(jobs.rows) if r.get(metric) is not None),
            _scaled(jobs.having(metric), better(metric)),
            strict=True,
        )
    ]  # fmt: skip
    x = {"field": "metric", "type": "nominal", "sort": list(metrics), "title": None,
         "axis": {"labelAngle": -20, "grid": True, "labelLimit": 300}}  # fmt: skip
    y = {"field": "place", "type": "quantitative", "title": "worst to best",
         "axis": {"labels": False, "ticks": False}}  # fmt: skip
    tooltip = [{"field": "label", "title": "job"}, {"field": "metric"}, {"field": "value"}]
    return {
        **head("Main metrics of all jobs side by side"),
        "width": 900, "height": 360, "data": {"values": rows},
        "params": [{"name": "hovered", "select": {"type": "point", "fields": ["job"],
                                                   "on": "pointerover", "clear": "pointerout"},
                    "views": ["lines"]}],
        "layer": [
            {"name": "lines", "mark": {"type": "line", "strokeWidth": 2},
             "encoding": {"x": x, "y": y, "detail": {"field": "job"}, "tooltip": tooltip,
                          "href": {"field": "link"}, **coloured(groups),
                          # Of the stroke: that of a whole mark takes seconds to draw.
                          "strokeOpacity": {"condition": {"param": "hovered", "value": 0.9},
                                            "value": 0.12}}},
        ],
    }  # fmt: skip


def _ends(row: Row, metric: str) -> Mapping[str, float | None]:
    """Return the ends of a metric's 95% interval, where it has one."""
    ends = interval_of(metric, row)
    return {"low": short(ends[0]), "high": short(ends[1])} if ends else {}


def _scaled(values: Sequence[float], way: str) -> Iterator[float]:
    """Yield values between 0, the worst, and 1, the best."""
    measured = [math.log(v) for v in values] if spreads(values) else list(values)
    low, high = min(measured), max(measured)
    for value in measured:
        place = (value - low) / (high - low) if high > low else 0.5
        yield 1 - place if way == "lower" else place
