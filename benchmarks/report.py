"""How every program here reports: one table on the terminal, the same as JSON in outputs/."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.table import Table

from modelbench.results.json_file import write_json
from modelbench.sinks.console import terminal
from modelbench.system.environment import host

OUTPUTS = Path(__file__).resolve().parent.parent / "outputs" / "benchmarks"


def seconds(act: Callable[[], Any], times: int) -> list[float]:
    """Time `act` several times, in seconds."""
    samples = []
    for _ in range(times):
        start = perf_counter()
        act()
        samples.append(perf_counter() - start)
    return samples


def run_stage(words: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run one stage by the command line in `folder`, and give its entry in `results.json`."""
    before = set(folder.rglob("results.json"))
    command = [sys.executable, "-m", "modelbench", "tracker=none", *words]
    subprocess.run(command, cwd=folder, check=True)
    (file,) = set(folder.rglob("results.json")) - before
    (stage,) = json.loads(file.read_text(encoding="utf-8"))["stages"].values()
    found: dict[str, Any] = stage
    return found


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table of any columns, and write it."""
    drawn = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="right" if index else "left")
    for row in rows:
        drawn.add_row(*map(str, row))
    terminal().print(drawn)
    _write(title, {"rows": [dict(zip(columns, row, strict=True)) for row in rows]})


def report(
    title: str, rows: Mapping[str, Sequence[float]], goals: Mapping[str, tuple[float, float]]
) -> bool:
    """Print and write the samples; `goals` are name -> (value, limit). Tells whether all hold."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("what", "median s", "least", "greatest", "samples"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, samples in rows.items():
        figures = statistics.median(samples), min(samples), max(samples)
        table.add_row(what, *(f"{figure:.3f}" for figure in figures), str(len(samples)))
    out = terminal()
    out.print(table)
    for goal, (value, limit) in goals.items():
        out.print(
            f"{goal}: {value:.3f}, goal under {limit:g}: {'met' if value < limit else 'MISSED'}"
        )
    _write(title, {"samples_s": dict(rows), "goals": dict(goals)})
    return all(value < limit for value, limit in goals.values())


def _write(title: str, content: Mapping[str, Any]) -> None:
    about = {"date": date.today().isoformat(), "environment": host(), "title": title}
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    write_json(OUTPUTS / f"{title.replace(' ', '_')}.json", {**about, **content})
