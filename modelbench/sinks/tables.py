"""A stage's result as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from modelbench.results import Metric, Result

COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow", "killed": "red"}
WIDE, LONGEST = 118, 40
"""Characters of a table's row, and of a cell."""
DECIMALS = {"MiB": 2, "MB": 2, "s": 2}


def stage_table(result: Result) -> RenderableType:
    """Lay out a result: plain metrics one below the other, those of parts side by side.

    `benchmark/forward/p50_ms` belongs to the part `forward`; parts are columns.
    """
    colour = COLOURS[result.status]
    head = f"[bold]{result.stage}[/] [{colour}]{result.status}[/] in {result.seconds:.1f} s"
    parts: list[RenderableType] = [Text.from_markup(head)]
    if result.reason:
        parts.append(_line(result.reason, colour))
    plain, grid = parted(result.stage, result.metrics)
    if plain:
        parts.append(_list(plain))
    parts += [_grid(group) for group in alike(grid)]
    parts += [_rows(table) for table in result.details.get("tables", [])]
    parts += [_line(note) for note in result.details.get("notes", [])]
    parts += [_line(f"warning: {warning}", "yellow") for warning in result.warnings]
    return Group(*parts)


def parted(
    stage: str, metrics: Mapping[str, Metric]
) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
    """Return a stage's own metrics, and those of its parts, by their short names."""
    plain: dict[str, Metric] = {}
    grid: dict[str, dict[str, Metric]] = {}
    for name, metric in metrics.items():
        part, _, short = name.removeprefix(f"{stage}/").rpartition("/")
        (grid.setdefault(part, {}) if part else plain)[short] = metric
    return plain, grid


def figure(metric: Metric) -> str:
    """Write a value with as many digits as a person can use."""
    if metric.unit == "count" and float(metric.value).is_integer():
        return f"{int(metric.value):,}"
    decimals = DECIMALS.get(metric.unit, 3)
    if metric.value and abs(metric.value) < 0.1:  # three significant digits for the small
        decimals = 2 - math.floor(math.log10(abs(metric.value)))
    return f"{metric.value:,.{decimals}f}"


def _list(metrics: Mapping[str, Metric]) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, metric in metrics.items():
        table.add_row(name, figure(metric), "" if metric.unit == "count" else metric.unit)
    return Padding(table, (0, 0, 0, 2), expand=False)


def alike(parts: Mapping[str, Mapping[str, Metric]]) -> list[dict[str, Mapping[str, Metric]]]:
    """Group the parts that have metrics in common: others side by side would be empty cells."""
    groups: list[dict[str, Mapping[str, Metric]]] = []
    for name, metrics in parts.items():
        group = next((g for g in groups if any(metrics.keys() & p.keys() for p in g.values())), {})
        if not group:
            groups.append(group)
        group[name] = metrics
    return groups


def _grid(parts: Mapping[str, Mapping[str, Metric]]) -> RenderableType:
    """Show one column for each part: of metrics there are many, of parts few."""
    units = {short: metric.unit for part in parts.values() for short, metric in part.items()}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column()
    for part in parts:
        table.add_column(part, justify="right")
    table.add_column(style="dim")
    for short, unit in units.items():
        cells = [figure(part[short]) if short in part else "" for part in parts.values()]
        table.add_row(short, *cells, "" if unit == "count" else unit)
    return Padding(table, (0, 0, 0, 2), expand=False)


def _rows(found: Mapping[str, Any]) -> RenderableType:
    """Show the first rows of a table."""
    table = Table(
        title=escape(found["title"]), title_justify="left", title_style="bold", box=None,
        padding=(0, 2, 0, 0), header_style="dim",
    )  # fmt: skip
    units = [unit for _, unit in found["columns"]]
    heads = [headed(name, unit) for name, unit in found["columns"]]
    rows = [
        [_shortened(cell(value, unit)) for value, unit in zip(row, units, strict=True)]
        for row in found["rows"][: found["first"]]
    ]
    widths = [max(map(len, column)) + 2 for column in zip(heads, *rows, strict=True)]
    while sum(widths) > WIDE:  # the columns that matter least come last
        widths.pop()
    for head, unit, width in zip(heads, units, widths, strict=False):
        words = unit == "text"
        table.add_column(head, justify="left" if words else "right", no_wrap=True,
                         min_width=None if words else width - 2)  # fmt: skip
    for row in rows:
        table.add_row(*map(escape, row[: len(widths)]))
    more = len(found["rows"]) - found["first"]
    below = [_line(f"and {more} more in the report", "dim")] if more > 0 else []
    return Padding(Group(table, *below), (1, 0, 0, 2), expand=False)


def _shortened(text: str) -> str:
    """Leave the end of a long name, which tells layers apart."""
    return text if len(text) <= LONGEST else f"…{text[1 - LONGEST :]}"


def headed(name: str, unit: str) -> str:
    """Return a column's heading, with the unit where it says anything."""
    return name if unit in {"", "text", "count", "share"} else f"{name}, {unit}"


def cell(value: Any, unit: str) -> str:
    """Write one cell of a table; nothing where there is no value."""
    if value is None or unit == "text":
        return value or ""
    return f"{value:.1%}" if unit == "share" else figure(Metric(value, unit))


def _line(text: str, style: str = "") -> RenderableType:
    return Padding(Text.from_markup(escape(text), style=style), (0, 0, 0, 2), expand=False)


def sweep_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show one row for each job of a sweep: its sizes, how it ended, and its main figures."""
    columns = sweep_columns(rows, 4)
    table = Table(title="sweep", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        numeric = column not in {"model", "precision", "status"}
        head = column.replace("/", "\n").replace("_size", "\nsize").replace("_length", "\nlength")
        table.add_column(head, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        cells = {key: escape(_cell(row.get(key))) for key in columns}
        cells["status"] = f"[{COLOURS[row['status']]}]{row['status']}[/]"
        table.add_row(*cells.values())
    reasons = [_line(f"job {row['job']}: {row['reason']}", "red") for row in rows if row["reason"]]
    return Group(table, *reasons)


def sweep_columns(rows: Sequence[Mapping[str, Any]], most: int) -> list[str]:
    """Name what a person wants to see of a sweep: at most `most` metrics, those of most jobs."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    medians = [key for key in keys if key == "structure/macs_g" or key.endswith("/p50_ms")]
    medians.sort(key=lambda key: -sum(key in row for row in rows))
    axes = [key for key in keys[keys.index("reason") + 1 :] if "/" not in key] if rows else []
    return ["job", "model", *axes, "precision", "status", *medians[:most]]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return figure(Metric(value, ""))
    return "" if value is None else str(value)
