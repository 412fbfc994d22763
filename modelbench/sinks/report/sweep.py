"""The page of a sweep: charts of all its jobs, and a table that sorts, filters and hides."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelbench.measurement.comparison.meaning import unit_of
from modelbench.results import Metric
from modelbench.sinks.report.charts import Spec, charts
from modelbench.sinks.report.html import BYTES, render
from modelbench.sinks.report.jobs import Jobs
from modelbench.sinks.report.pictures import Album, Picture
from modelbench.sinks.tables import figure

SHOWN = 8
"""Metrics that the table shows at first, and on paper."""
WORDS = ("model", "precision", "status", "device", "test", "name", "reason")
SCALE = 2
"""Of pixels in a PNG."""


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
    files = [file for name, (_, spec) in found.items() for file in _drawn(name, spec, folder)]
    pictures, _ = Album(folder, BYTES // 3).add(files)
    shown = [
        Chart(name, told, _safe(spec), next((p for p in pictures if f"-{name}." in p.name), None))
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
        libraries=_libraries(charts=bool(shown)),
    )
    return page, files


def _columns(jobs: Jobs) -> list[Column]:
    main = jobs.main(SHOWN) or jobs.metrics[:SHOWN]
    first = ["job", "model", *jobs.axes, "precision", "status"]
    rest = [metric for metric in jobs.metrics if metric not in main]
    return [
        *(Column(key, shown=True) for key in [*first, *main]),
        *(Column(key, shown=False) for key in ["device", "test", *rest, "reason"]),
    ]


def _drawn(name: str, spec: Spec, folder: Path) -> list[str]:
    """Write a chart as PNG and SVG; return the files."""
    import vl_convert

    (folder / "plots").mkdir(parents=True, exist_ok=True)
    files = [f"plots/sweep-{name}.png", f"plots/sweep-{name}.svg"]
    svg = vl_convert.vegalite_to_svg(spec)
    (folder / files[0]).write_bytes(vl_convert.svg_to_png(svg, scale=SCALE))
    (folder / files[1]).write_text(svg, encoding="utf-8")
    return files


def _safe(spec: Spec) -> str:
    """Write JSON in which nothing ends a script."""
    text = json.dumps(spec, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


@lru_cache(maxsize=2)
def _libraries(*, charts: bool) -> dict[str, str]:
    """Return what a page needs of Vega-Lite and DataTables, packed."""
    import vl_convert

    found = find_spec("itables")  # the files alone: importing it takes what a notebook needs
    assert found is not None and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "html"
    texts = {
        "datatables": (folder / "dt_bundle.js").read_text(encoding="utf-8"),
        "datatables-style": (folder / "dt_bundle.css").read_text(encoding="utf-8"),
    }
    if charts:
        texts["vega"] = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    return {
        name: base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
        for name, text in texts.items()
    }
