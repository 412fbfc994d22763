"""The scatter plot of a sweep: any two metrics, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from modelbench.sinks.report.chart_parts import Spec, coloured, head, series, short, spreads
from modelbench.sinks.report.jobs import Jobs, better


def scatter(jobs: Jobs, metrics: Sequence[str]) -> Spec:
    """Let x and y be chosen; the Pareto front follows from which way each metric is better."""
    groups = series(jobs, ())
    keys = {metric: f"m{place}" for place, metric in enumerate(metrics)}
    rows = [
        {
            "label": jobs.label(row), "group": groups[number], "link": f"{row['job']}/report.html",
            "status": row["status"], **{k: short(row.get(m)) for m, k in keys.items()},
        }
        for number, row in enumerate(jobs.rows)
    ]  # fmt: skip
    signs = {metric: 1 if better(metric) == "lower" else -1 for metric in metrics}
    chosen = [
        {"name": name, "value": metrics[place],
         "bind": {"input": "select", "options": list(metrics), "name": f"{name} "}}
        for name, place in (("x", _first(metrics, "p50_ms")), ("y", _second(metrics)))
    ]  # fmt: skip
    scales = [{"name": f"{name}_log", "value": spreads(jobs.having(metrics[place])),
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
            **coloured(groups),
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
    value = f"({name}_log ? pow(10, datum.value) : datum.value)"
    # Millions and thousands by their letters, small numbers as they are.
    label = f"abs({value}) >= 10000 ? format({value}, '.2~s') : format({value}, '.3~g')"
    return {
        "field": f"{name}_value", "type": "quantitative", "scale": {"zero": False, "nice": True},
        "axis": {"labelExpr": label, "title": {"expr": name}},
    }  # fmt: skip


def _first(metrics: Sequence[str], end: str) -> int:
    return next((place for place, metric in enumerate(metrics) if metric.endswith(end)), 0)


def _second(metrics: Sequence[str]) -> int:
    """Return what is most worth holding against the first: fidelity, accuracy, else a size."""
    for end in ("accuracy", "sqnr_db", "params", "macs_g", "peak_mib"):
        for place, metric in enumerate(metrics):
            if metric.endswith(end) and place != _first(metrics, "p50_ms"):
                return place
    return 1 if _first(metrics, "p50_ms") == 0 else 0
