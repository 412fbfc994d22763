"""The charts of a sweep in the language of Vega-Lite, which draws them in a page and in files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelbench.measurement.comparison.meaning import interval_of
from modelbench.results.canvas import STYLES
from modelbench.sinks.report.jobs import Jobs, Row, better

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
MOST_SERIES, MOST_MULTIPLES, MOST_PARALLEL, MOST_CHOICES = 12, 6, 8, 80
MANY = 30
"""Jobs from which on two metrics fill a page."""
WIDE = 30
"""Times from the least to the greatest value, from which on a scale is logarithmic."""
_LOG = {"type": "log", "nice": False, "padding": 12}
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


def charts(jobs: Jobs) -> dict[str, tuple[str, Spec]]:
    """Return name -> what it shows, and its specification."""
    found: dict[str, tuple[str, Spec]] = {}
    metrics = jobs.differing[:MOST_CHOICES]
    if len(metrics) > 1:
        told = "Two metrics of your choice; the line joins the jobs that none beats in both"
        found["scatter"] = told, _scatter(jobs, metrics)
    if multiples := _multiples(jobs):
        over = jobs.varied[0] if jobs.varied and jobs.varied[0] in jobs.axes else "jobs"
        found["multiples"] = f"Main metrics over {over}, with 95% intervals", multiples
    if len(jobs.main(MOST_PARALLEL)) > 1 and len(jobs.rows) > 2:
        told = "Main metrics side by side, a line for each job; up is better on each"
        found["parallel"] = told, _parallel(jobs)
    return found


def _scatter(jobs: Jobs, metrics: Sequence[str]) -> Spec:
    """Let x and y be chosen; the Pareto front follows from which way each metric is better."""
    groups = _series(jobs, ())
    keys = {metric: f"m{place}" for place, metric in enumerate(metrics)}
    rows = [
        {
            "label": jobs.label(row), "group": groups[number], "link": f"{row['job']}/report.html",
            "status": row["status"], **{k: _short(row.get(m)) for m, k in keys.items()},
        }
        for number, row in enumerate(jobs.rows)
    ]  # fmt: skip
    signs = {metric: 1 if better(metric) == "lower" else -1 for metric in metrics}
    chosen = [
        {"name": name, "value": metrics[place],
         "bind": {"input": "select", "options": list(metrics), "name": f"{name} "}}
        for name, place in (("x", _first(metrics, "p50_ms")), ("y", _second(metrics)))
    ]  # fmt: skip
    scales = [{"name": f"{name}_log", "value": _spreads(jobs.having(metrics[place])),
               "bind": {"input": "checkbox", "name": f"{name} logarithmic "}}
              for name, place in (("x", _first(metrics, "p50_ms")), ("y", _second(metrics)))
              ]  # fmt: skip
    own = [
        {"calculate": "datum[keys[x]]", "as": "x_raw"},
        {"calculate": "datum[keys[y]]", "as": "y_raw"},
        {"filter": "isValid(datum.x_raw) && isValid(datum.y_raw)"},
        {"filter": "(!x_log || datum.x_raw > 0) && (!y_log || datum.y_raw > 0)"},
        {"calculate": "x_log ? log(datum.x_raw) / LN10 : datum.x_raw", "as": "x_value"},
        {"calculate": "y_log ? log(datum.y_raw) / LN10 : datum.y_raw", "as": "y_value"},
        {"calculate": "signs[x] * datum.x_raw", "as": "x_cost"},
        {"calculate": "signs[y] * datum.y_raw", "as": "y_cost"},
        {"window": [{"op": "min", "field": "y_cost", "as": "least"}],
         "sort": [{"field": "x_cost"}, {"field": "y_cost"}], "frame": [None, 0]},
        {"window": [{"op": "lag", "field": "least", "as": "before"}],
         "sort": [{"field": "x_cost"}, {"field": "y_cost"}]},
        {"calculate": "!isValid(datum.before) || datum.y_cost < datum.before", "as": "front"},
    ]  # fmt: skip
    x = _chosen_axis("x")
    y = _chosen_axis("y")
    tooltip = [
        {"field": "label", "title": "job"}, {"field": "x_raw", "title": "x", "format": ".5~g"},
        {"field": "y_raw", "title": "y", "format": ".5~g"}, {"field": "status"},
    ]  # fmt: skip
    points: Spec = {
        "mark": {"type": "point", "filled": True, "size": 70, "cursor": "pointer"},
        "encoding": {
            "x": x, "y": y, "tooltip": tooltip, "href": {"field": "link"},
            "opacity": {"condition": {"test": "datum.front", "value": 1}, "value": 0.45},
            **_coloured(groups),
        },
    }  # fmt: skip
    front: Spec = {
        "transform": [{"filter": "datum.front"}],
        "mark": {"type": "line", "color": "#555", "strokeDash": [4, 3], "strokeWidth": 1.5},
        "encoding": {"x": x, "y": y, "order": {"field": "x_cost"}},
    }
    return {
        **head("Two metrics of all jobs, with the Pareto front"),
        "width": 900, "height": 480, "data": {"values": rows},
        "params": [*chosen, *scales, {"name": "signs", "value": signs},
                   {"name": "keys", "value": keys}],
        "transform": own, "layer": [front, points],
    }  # fmt: skip


def _chosen_axis(name: str) -> Spec:
    """Label an axis by what it was chosen to be: powers of ten where it is logarithmic."""
    label = f"{name}_log ? format(pow(10, datum.value), '.2~g') : format(datum.value, '.4~g')"
    return {
        "field": f"{name}_value", "type": "quantitative", "scale": {"zero": False, "nice": True},
        "axis": {"labelExpr": label, "title": {"expr": name}},
    }  # fmt: skip


def _multiples(jobs: Jobs) -> Spec | None:
    """Draw each main metric over the first size that was varied, else over the jobs in order."""
    over = next((axis for axis in jobs.axes if axis in jobs.varied), None)
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


def _over(jobs: Jobs, metric: str, axis: str) -> Spec:
    groups = _series(jobs, (axis,))
    rows = [
        {"x": row[axis], "y": _short(row[metric]), "group": groups[number],
         "label": jobs.label(row), "link": f"{row['job']}/report.html", **_ends(row, metric)}
        for number, row in enumerate(jobs.rows)
        if row.get(axis) is not None and row.get(metric) is not None
    ]  # fmt: skip
    sizes = sorted({row["x"] for row in rows})
    few = {"values": sizes} if len(sizes) <= MOST_SERIES else {}
    x = {"field": "x", "type": "quantitative", "title": axis, "scale": _LOG,
         "axis": {**few, "format": "d", "labelOverlap": True}}  # fmt: skip
    log = _LOG if rows and min(row["y"] for row in rows) > 0 else {"zero": False}
    y = {"field": "y", "type": "quantitative", "title": metric, "scale": log}
    colour = _coloured(groups)
    tooltip = [{"field": "label", "title": "job"}, {"field": "y", "title": metric}]
    rule = {
        "mark": {"type": "rule", "strokeWidth": 2}, "transform": [{"filter": "isValid(datum.low)"}],
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, **colour},
    }  # fmt: skip
    return {
        "width": 400, "height": 260, "data": {"values": rows},
        "layer": [
            {"mark": "line", "encoding": {"x": x, "y": y, "detail": {"field": "group"}, **colour}},
            *([rule] if any("low" in row for row in rows) else []),
            {"mark": {"type": "point", "filled": True, "size": 60},
             "encoding": {"x": x, "y": y, "tooltip": tooltip, "href": {"field": "link"}, **colour}},
        ],
    }  # fmt: skip


def _in_order(jobs: Jobs, metric: str, _: str) -> Spec:
    """Draw a dot for each job, the least first: readable of hundreds, as bars are not."""
    rows = [
        {"label": jobs.label(row), "y": _short(row[metric]), "link": f"{row['job']}/report.html",
         **_ends(row, metric)}
        for row in jobs.rows
        if row.get(metric) is not None
    ]  # fmt: skip
    values = jobs.having(metric)
    scale = _LOG if _spreads(values) else {"zero": min(values) >= 0}
    x = {"field": "y", "type": "quantitative", "title": metric, "scale": scale}
    y = {"field": "label", "type": "nominal", "sort": {"field": "y"}, "title": None,
         "axis": {"labelLimit": 200, "labelFontSize": 10}}  # fmt: skip
    rule = {
        "mark": {"type": "rule", "strokeWidth": 2, "color": COLOURS[0]},
        "transform": [{"filter": "isValid(datum.low)"}],
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
    groups = _series(jobs, ())
    rows = [
        {"job": str(row["job"]), "label": jobs.label(row), "group": groups[number],
         "metric": metric, "value": _short(row[metric]), "place": round(place, 4),
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
                          "href": {"field": "link"}, **_coloured(groups),
                          # Of the stroke: that of a whole mark takes seconds to draw.
                          "strokeOpacity": {"condition": {"param": "hovered", "value": 0.9},
                                            "value": 0.12}}},
        ],
    }  # fmt: skip


def head(description: str) -> Spec:
    """Return what every chart begins with."""
    return {"$schema": SCHEMA, "description": description, "config": CONFIG}


def _series(jobs: Jobs, but: Sequence[str]) -> list[str]:
    """Return each job's group, by which it is coloured: few enough for a legend to be read."""
    keys = [key for key in jobs.varied if key not in but]
    while keys:
        left_out = [key for key in jobs.varied if key not in keys]
        labels = [jobs.label(row, left_out) for row in jobs.rows]
        if len(set(labels)) <= MOST_SERIES:
            return labels
        # What has most values is left to the tooltip.
        keys.remove(max(keys, key=lambda key: len({str(row.get(key)) for row in jobs.rows})))
    return ["" for _ in jobs.rows]


def _coloured(groups: Sequence[str]) -> Spec:
    if len(set(groups)) < 2:
        return {"color": {"value": COLOURS[0]}}
    names = sorted(set(groups))
    return {
        "color": {"field": "group", "type": "nominal", "title": None, "scale": {"domain": names}},
        "shape": {"field": "group", "type": "nominal", "title": None, "scale": {"domain": names}},
    }


def _ends(row: Row, metric: str) -> Mapping[str, float | None]:
    """Return the ends of a metric's 95% interval, where it has one."""
    ends = interval_of(metric, row)
    return {"low": _short(ends[0]), "high": _short(ends[1])} if ends else {}


def _short(value: float | None) -> float | None:
    """Round to what a chart can show: there are many of them."""
    return None if value is None else float(f"{value:.5g}")


def _spreads(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > WIDE * min(values)


def _scaled(values: Sequence[float], way: str) -> Iterator[float]:
    """Yield values between 0, the worst, and 1, the best."""
    measured = [math.log(v) for v in values] if _spreads(values) else list(values)
    low, high = min(measured), max(measured)
    for value in measured:
        place = (value - low) / (high - low) if high > low else 0.5
        yield 1 - place if way == "lower" else place


def _first(metrics: Sequence[str], end: str) -> int:
    return next((place for place, metric in enumerate(metrics) if metric.endswith(end)), 0)


def _second(metrics: Sequence[str]) -> int:
    """Return what is most worth holding against the first: fidelity, accuracy, else a size."""
    for end in ("accuracy", "sqnr_db", "params", "macs_g", "peak_mib"):
        for place, metric in enumerate(metrics):
            if metric.endswith(end) and place != _first(metrics, "p50_ms"):
                return place
    return 1 if _first(metrics, "p50_ms") == 0 else 0
