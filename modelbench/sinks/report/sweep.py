"""The page of a sweep: charts of all its jobs, and a table that sorts, filters and hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelbench.measurement.comparison.meaning import unit_of
from modelbench.results import Metric
from modelbench.sinks.report.charts import charts
from modelbench.sinks.report.html import BYTES, render
from modelbench.sinks.report.jobs import Jobs
from modelbench.sinks.report.pictures import Album, Picture
from modelbench.sinks.report.vega import drawn, libraries, safe
from modelbench.sinks.tables import figure

SHOWN = 8
"""Metrics that the table shows at first, and on paper."""
WORDS = ("model", "precision", "status", "device", "test", "name", "reason", "options")


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    key: str
    shown: bool

    @property
    def number(self) -> bool:
        """Whether it holds numbers."""
        return self.key not in WORDS

    def told(self, value: Any) -> str:
        """Write a cell."""
        if isinstance(value, float):
            return figure(Metric(value, unit_of(self.key)))
        if isinstance(value, int) and "/" in self.key:
            return f"{value:,}"
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Chart:
    """One chart of the page."""

    name: str
    told: str
    spec: str
    """As JSON that may stand in a script."""
    picture: Picture | None
    """For those who see it without a script."""


def sweep_page(content: Mapping[str, Any], command: str, folder: Path) -> tuple[str, list[str]]:
    """Return the page, and the files of its charts; `content` is that of `sweep.json`."""
    rows: Sequence[Mapping[str, Any]] = content["jobs"]
    jobs = Jobs(rows)
    found = charts(jobs)
    files = drawn({f"plots/sweep-{name}": spec for name, (_, spec) in found.items()}, folder)
    pictures, _ = Album(folder, BYTES // 3).add(files)
    shown = [
        Chart(name, told, safe(spec), next((p for p in pictures if f"-{name}." in p.name), None))
        for name, (told, spec) in found.items()
    ]
    columns = _columns(jobs)
    page = render(
        "sweep.html.j2",
        title=f"Sweep {content['id']}: {content['status']}",
        id=content["id"],
        state=content["status"],
        rows=[{column.key: None for column in columns} | dict(row) for row in rows],
        passed=sum(row["status"] == "passed" for row in rows),
        columns=columns,
        shown=sum(column.shown for column in columns),
        charts=shown,
        command=command,
        numbers=[place for place, column in enumerate(columns) if column.number and place],
        libraries=libraries(charts=bool(shown)),
    )
    return page, files


def _columns(jobs: Jobs) -> list[Column]:
    main = jobs.main(SHOWN) or jobs.metrics[:SHOWN]
    first = ["job", "model", *jobs.axes, "precision", "status"]
    rest = [metric for metric in jobs.metrics if metric not in main]
    return [
        *(Column(key, shown=True) for key in [*first, *main]),
        *(Column(key, shown=False) for key in ["device", "test", "options", *rest, "reason"]),
    ]
