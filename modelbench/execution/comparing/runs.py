"""Runs that a person names: a file, a folder, a run of MLflow, or the latest that fits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelbench.results.reading import (
    UnreadableError,
    read_results,
    results_files,
    started,
    value_of,
)

OUTPUTS = Path("outputs")
RUN_ID = re.compile(r"[0-9a-f]{32}")
QUERY = re.compile(r"latest(?:~(\d+))?((?:\s+[\w./]+=\S+)*)\s*")
FORMS = "a results.json, the folder of a job or sweep, an MLflow run id, or 'latest KEY=VALUE ...'"


class UsageError(ValueError):
    """What was named cannot be had; the message is for people."""


@dataclass(frozen=True)
class Runs:
    """One or several jobs, as they were named."""

    label: str
    documents: list[dict[str, Any]]
    unreadable: list[str]
    """Jobs of a sweep that were left out, and why."""


def find(named: str) -> Runs:
    """Return the runs that a word stands for; raises UsageError and UnreadableError."""
    if os.path.isfile(named):  # noqa: PTH113  (a query may be longer than a path can be)
        return Runs(named, [read_results(Path(named))], [])
    if os.path.isdir(named):  # noqa: PTH112
        return _of_folder(Path(named))
    if RUN_ID.fullmatch(named):
        from modelbench.sinks.mlflow_runs import files_of_run

        return _read(f"run {named}", files_of_run(named))
    asked = QUERY.fullmatch(named)
    if asked is None:
        raise UsageError(f"{named}: no such file or folder; expected {FORMS}")
    wanted = dict(word.split("=", 1) for word in asked[2].split())
    return _latest(named, int(asked[1] or 0), wanted)


def _of_folder(folder: Path) -> Runs:
    files = results_files(folder)
    if not files:
        raise UsageError(f"{folder}: no results.json below it; expected {FORMS}")
    return _read(str(folder), files)


def _read(label: str, files: list[Path]) -> Runs:
    """Read all; one that cannot be read ends it only where it is the only one."""
    documents, wrong = [], []
    for file in files:
        try:
            documents.append(read_results(file))
        except UnreadableError as error:
            wrong.append(str(error))
    if not documents:
        raise UnreadableError(wrong[0])
    return Runs(label, documents, wrong)


def _latest(named: str, back: int, wanted: Mapping[str, str]) -> Runs:
    """Find it in MLflow's store, else in the folder of outputs."""
    from modelbench.sinks.mlflow_runs import latest_run, store_exists

    if store_exists():
        files = latest_run(wanted, back)
        where = "in the MLflow store"
    else:
        files = list(_fitting(wanted))[back : back + 1]
        where = f"below {OUTPUTS}"
    if not files:
        raise UsageError(f"{named}: no such run that has ended {where}")
    return _read(named, files)


def _fitting(wanted: Mapping[str, str]) -> Iterator[Path]:
    """Yield the results below the folder of outputs that fit, the latest first."""
    files = [file for name in ("runs", "sweeps") for file in results_files(OUTPUTS / name)]
    documents = []
    for file in files:
        try:
            document = read_results(file)
        except UnreadableError:
            continue
        fits = all(str(value_of(document, key)) == value for key, value in wanted.items())
        if fits and document["status"] in {"passed", "failed"}:
            documents.append((started(document, file), file.stat().st_mtime, file))
    yield from (file for *_, file in sorted(documents, reverse=True))
