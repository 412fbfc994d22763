"""The jobs of a sweep over what was varied."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from modelbench.results.canvas import panels, plain_logs, saved, sized_axis, styles

Row = Mapping[str, Any]

METRICS = ("benchmark/*/p50_ms", "memory/*_peak_mib", "structure/macs_g", "structure/params",
           "quantization/*/speedup", "algorithm/loss_last")  # fmt: skip
MOST = 6
CHOICES = ("model", "device", "precision")


def draw_sweep(rows: Sequence[Row], directory: Path) -> list[str]:
    """Draw the main metrics of the jobs over the first size that was varied; return the files.

    Where no size was varied, each job is a bar.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    axes = [key for key in keys[keys.index("reason") + 1 :] if "/" not in key] if rows else []
    varied = [k for k in (*axes, *CHOICES) if len({str(row.get(k)) for row in rows}) > 1]
    sizes = [key for key in varied if key in axes]
    files = []
    for metric in _chosen(keys, rows):
        having = [row for row in rows if metric in row]
        over = next((s for s in sizes if len({row.get(s) for row in having} - {None}) > 1), None)
        if over is None:
            files += _bars(having, metric, varied, directory)
        else:
            files += _lines(having, metric, over, [k for k in varied if k != over], directory)
    return files


def _chosen(keys: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Name the metrics that several jobs have, and in which they differ."""
    found = [key for pattern in METRICS for key in keys if fnmatchcase(key, pattern)]
    return [key for key in found if len({row[key] for row in rows if key in row}) > 1][:MOST]


def _lines(
    rows: Sequence[Row], metric: str, over: str, others: Sequence[str], directory: Path
) -> list[str]:
    figure, (panel,) = panels()
    series: dict[str, list[Row]] = {}
    for row in rows:
        if row.get(over) is not None:
            series.setdefault(_named(row, others), []).append(row)
    for (name, jobs), (colour, marker, _) in zip(series.items(), styles(), strict=False):
        jobs.sort(key=lambda job: int(job[over]))
        x, y = [job[over] for job in jobs], [job[metric] for job in jobs]
        panel.errorbar(x, y, yerr=_interval(jobs, metric), color=colour, marker=marker,
                       markersize=7, capsize=4, label=name)  # fmt: skip
    ticks = sorted({row[over] for row in rows if row.get(over) is not None})
    sized_axis(panel, over, ticks)
    if all(row[metric] > 0 for row in rows):
        panel.set_yscale("log")
        plain_logs(panel.yaxis)
    panel.set(ylabel=metric, title=f"{metric} over {over}")
    if len(series) > 1:
        panel.legend()
    return saved(figure, directory, _file(metric))


def _bars(rows: Sequence[Row], metric: str, varied: Sequence[str], directory: Path) -> list[str]:
    figure, (panel,) = panels()
    for place, (row, style) in enumerate(zip(rows, styles(), strict=False)):
        panel.bar(place, row[metric], color=style[0], hatch=style[2], edgecolor="white",
                  yerr=_interval([row], metric), capsize=4)  # fmt: skip
        panel.annotate(f"{row[metric]:,.4g}", (place, row[metric]), xytext=(0, 4), ha="center",
                       textcoords="offset points")  # fmt: skip
    figure.set_size_inches(max(8.0, 0.4 * len(rows)), 5)
    names = [_named(row, varied) or f"job {row['job']}" for row in rows]
    turned = 30 if len(names) > 4 else 0
    panel.set_xticks(range(len(names)), names, rotation=turned, ha="right" if turned else "center")
    panel.margins(y=0.12)
    panel.set(ylabel=metric, title=metric)
    return saved(figure, directory, _file(metric))


def _interval(jobs: Sequence[Row], metric: str) -> list[list[float]] | None:
    """Return the distances to the ends of the 95% intervals, where all jobs have one."""
    ends = [metric.replace("p50_ms", f"ci95_{end}_ms") for end in ("low", "high")]
    if metric in ends or not all(end in job for job in jobs for end in ends):
        return None
    low = [max(0.0, job[metric] - job[ends[0]]) for job in jobs]
    return [low, [max(0.0, job[ends[1]] - job[metric]) for job in jobs]]


def _named(row: Row, keys: Sequence[str]) -> str:
    return ", ".join(
        str(row[key]) if key in CHOICES else f"{key}={row[key]}"
        for key in keys
        if row.get(key) is not None
    )


def _file(metric: str) -> str:
    return f"plots/sweep-{re.sub(r'[^A-Za-z0-9_]', '-', metric)}"
