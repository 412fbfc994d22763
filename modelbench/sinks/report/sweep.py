"""The page of a sweep: its jobs in a table that sorts, and plots over what was varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelbench.results import Metric
from modelbench.sinks.report.html import BYTES, render
from modelbench.sinks.report.pictures import Album
from modelbench.sinks.report.sweep_plot import draw_sweep
from modelbench.sinks.tables import figure, sweep_columns

MOST_METRICS = 8
WORDS = ("model", "precision", "status", "device", "test")


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    key: str

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.key

    @property
    def number(self) -> bool:
        """Whether it holds numbers."""
        return self.key not in WORDS

    def told(self, value: Any) -> str:
        """Write a cell."""
        if isinstance(value, float):
            return figure(Metric(value, ""))
        return "" if value is None else str(value)


def sweep_page(content: Mapping[str, Any], command: str, folder: Path) -> tuple[str, list[str]]:
    """Return the page, and the files of its plots; `content` is that of `sweep.json`."""
    rows: Sequence[Mapping[str, Any]] = content["jobs"]
    columns = [Column(key) for key in sweep_columns(rows, MOST_METRICS)]
    files = draw_sweep(rows, folder)
    pictures, _ = Album(folder, BYTES).add(files)
    page = render(
        "sweep.html.j2",
        title=f"Sweep {content['id']}: {content['status']}",
        id=content["id"],
        state=content["status"],
        rows=[{column.key: None for column in columns} | dict(row) for row in rows],
        passed=sum(row["status"] == "passed" for row in rows),
        columns=columns,
        pictures=pictures,
        command=command,
    )
    return page, files
