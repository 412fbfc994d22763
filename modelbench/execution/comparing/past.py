"""A metric over the runs of the past: from the MLflow store, or from folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from modelbench.execution.comparing.runs import OUTPUTS, UsageError
from modelbench.measurement.comparison.change_points import change_points
from modelbench.measurement.comparison.meaning import interval_of
from modelbench.results.reading import (
    UnreadableError,
    read_results,
    results_files,
    started,
    value_of,
)

LEAST = 2
ALIKE = ("model", "device", "precision")


@dataclass(frozen=True)
class Point:
    """One run."""

    at: datetime
    commit: str
    """'' where it is not known."""
    value: float
    low: float | None
    high: float | None
    """The ends of its 95% interval."""
    of: str
    """What it was run with: only runs of the same belong together."""
    where: str
    """Its folder, or the id of its MLflow run."""


@dataclass(frozen=True)
class Series:
    """The runs of one and the same, in order of time."""

    of: str
    points: Sequence[Point]

    @property
    def changes(self) -> list[int]:
        """Places of the first runs after a change."""
        return change_points([point.value for point in self.points])

    @property
    def levels(self) -> list[tuple[int, int, float]]:
        """First and last place between changes, and the median there."""
        ends = [0, *self.changes, len(self.points)]
        return [
            (first, after - 1, median(point.value for point in self.points[first:after]))
            for first, after in pairwise(ends)
        ]


def past(metric: str, wanted: Mapping[str, str], folders: Sequence[Path]) -> list[Series]:
    """Return the series of a metric, of runs that fit; raises UsageError where there are too few.

    From `folders`, else from the MLflow store, else from the folder of outputs.
    """
    from modelbench.sinks.mlflow_runs import metric_of_runs, store_exists

    if not folders and store_exists():
        where, points = "the MLflow store", [_of_run(run, metric) for run in metric_of_runs(wanted)]
    else:
        chosen = folders or [OUTPUTS / "runs", OUTPUTS / "sweeps"]
        where = ", ".join(map(str, chosen))
        files = [file for folder in chosen for file in results_files(folder)]
        points = [_of_file(file, metric, wanted) for file in files]
    found = sorted((point for point in points if point), key=lambda point: point.at)
    if len(found) < LEAST:
        words = " ".join(f"{key}={value}" for key, value in wanted.items())
        raise UsageError(
            f"{metric}: {len(found)} runs of {words or 'any kind'} have it in {where}; a history "
            f"takes {LEAST} or more"
        )
    kinds = dict.fromkeys(point.of for point in found)
    return [Series(kind, [point for point in found if point.of == kind]) for kind in kinds]


def _of_file(file: Path, metric: str, wanted: Mapping[str, str]) -> Point | None:
    try:
        document = read_results(file)
    except UnreadableError:
        return None
    if any(str(value_of(document, key)) != value for key, value in wanted.items()):
        return None
    metrics = {
        name: float(entry["value"])
        for stage in document["stages"].values()
        for name, entry in stage["metrics"].items()
    }
    axes = [f"{axis}={size}" for axis, size in document["axes"].items()]
    environment = document["environment"]
    machine = str(environment.get("gpu") or environment.get("cpu") or "")
    about = [*(str(document[key]) for key in ALIKE), *_runtime(value_of(document, "runtime")),
             *axes, machine]  # fmt: skip
    at = started(document, file)
    commit = str(environment.get("git_commit") or "")
    return _point(metrics, metric, at, (commit, " ".join(about), str(file.parent)))


def _of_run(run: Any, metric: str) -> Point | None:
    tags, params = run.data.tags, run.data.params
    axes = [key.removeprefix("input/") for key in run.data.metrics if key.startswith("input/")]
    sizes = (f"{axis}={params.get(axis)}" for axis in axes)
    about = [*(tags.get(key, "") for key in ALIKE), *_runtime(params.get("runtime")), *sizes,
             tags.get("machine", "")]  # fmt: skip
    at = datetime.fromtimestamp(run.info.start_time / 1e3, UTC)
    told = tags.get("mlflow.source.git.commit", ""), " ".join(about), run.info.run_id
    return _point(run.data.metrics, metric, at, told)


def _runtime(name: Any) -> list[str]:
    """Return what sets runs in another runtime apart; older ones know of none."""
    return [str(name)] if name not in {None, "eager"} else []


def _point(
    metrics: Mapping[str, float], metric: str, at: datetime, told: tuple[str, str, str]
) -> Point | None:
    if metric not in metrics:
        return None
    low, high = interval_of(metric, metrics) or (None, None)
    commit, of, where = told
    return Point(at, commit, metrics[metric], low, high, of, where)
