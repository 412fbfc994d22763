"""A history as Apache Otava reads it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from modelbench.measurement.comparison.meaning import Better
from modelbench.sinks.comparison.history import Past


def as_otava(series: Iterable[Past], metric: str, better: Better, folder: Path) -> list[Path]:
    """Write what Apache Otava reads: a CSV for each series, and a configuration that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    tests: dict[str, Any] = {}
    written = []
    for number, each in enumerate(series):
        file = folder / f"history-{number}.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(["time", "commit", "metric"])
            for point in each.points:
                table.writerow([point.at.isoformat(), point.commit, point.value])
        tests[f"history-{number}"] = {
            "type": "csv",
            "file": file.name,
            "time_column": "time",
            "attributes": ["commit"],
            "metrics": {
                metric.replace("/", "."): {
                    "column": "metric", "direction": 1 if better == "higher" else -1,
                }
            },
        }  # fmt: skip
        written.append(file)
    config = folder / "otava.yaml"
    config.write_text(yaml.safe_dump({"tests": tests}, sort_keys=False), encoding="utf-8")
    return [*written, config]
