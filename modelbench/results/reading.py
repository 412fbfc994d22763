"""`results.json` as it is read again: of this version and whole, or with what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelbench.results.job import SCHEMA

FILE, SWEEP = "results.json", "sweep.json"
ARTIFACTS = "mlartifacts"
LATER: Mapping[str, Any] = {
    "reason": None, "test": "", "seed": 0, "command": "", "sweep_id": None, "number": None,
    "environment": {}, "config": {},
}  # fmt: skip
"""Keys that a document may lack."""
STAGE: Mapping[str, Any] = {
    "seconds": 0.0, "reason": None, "series": {}, "curves": {}, "details": {}, "warnings": [],
    "artifacts": [],
}  # fmt: skip
"""Keys that a stage may lack."""
KINDS = {"axes": dict, "environment": dict, "config": dict, "stages": dict, "command": str,
         "model": str, "status": str}  # fmt: skip
TOLD = {dict: "a mapping", str: "a text", list: "a list"}
NEEDED = ("schema", "status", "model", "device", "precision", "axes", "stages")


class UnreadableError(ValueError):
    """A file that is not what a job has written; the message is for people."""


def read_results(file: Path) -> dict[str, Any]:
    """Return what a `results.json` holds; raises UnreadableError with what is wrong with it.

    What older versions did not write is filled in.
    """
    found = read_json(file)
    wrong = next(_wrong(found), None)
    if wrong:
        raise UnreadableError(f"{file}: {wrong}")
    stages = {name: {**STAGE, **stage} for name, stage in found["stages"].items()}
    return {**LATER, "name": found["model"], "id": digest(file)[:32], **found, "stages": stages}


def digest(file: Path) -> str:
    """Return what tells a file's content from others."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def value_of(document: Mapping[str, Any], key: str) -> Any:
    """Return what a job was run with, by its name: `model`, `image_size`, `model.depth`."""
    if key in document["axes"]:
        return document["axes"][key]
    if key in document and not isinstance(document[key], Mapping):
        return document[key]
    node: Any = document["config"]
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node["name"] if isinstance(node, Mapping) and "name" in node else node


def started(document: Mapping[str, Any], file: Path) -> datetime:
    """Return when a job was started; of older results, when they were written."""
    if document.get("started"):
        at = datetime.fromisoformat(document["started"])
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def read_json(file: Path) -> Any:
    """Return what a file of JSON holds; raises UnreadableError."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnreadableError(f"{file}: no such file") from error
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"{file}: cut short or edited by hand: no JSON from line {error.lineno} on "
            f"({error.msg}); run the job again"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{file}: cannot be read ({error})") from error


def results_files(folder: Path) -> list[Path]:
    """Return the results below a folder, of a sweep in the order of its jobs.

    Those that MLflow keeps copies of are left out.
    """
    found = [file for file in folder.rglob(FILE) if ARTIFACTS not in file.relative_to(folder).parts]
    return sorted(found, key=_place)


def _place(file: Path) -> tuple[Any, ...]:
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in file.parts)


def _wrong(found: Any) -> Iterator[str]:
    """Yield what is wrong with a document."""
    if not isinstance(found, Mapping):
        yield f"expected the mapping that a job writes, found {type(found).__name__}"
        return
    schema = found.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        yield (
            f"written by a newer modelbench (schema {schema}, this one reads {SCHEMA}); "
            "pip install -U torch-modelbench"
        )
        return
    missing = [key for key in NEEDED if key not in found]
    if missing:
        yield f"no results of modelbench: it lacks {', '.join(missing)}"
        return
    if schema != SCHEMA:
        yield f"schema={schema}: expected {SCHEMA}"
    for key, kind in KINDS.items():
        if not isinstance(found.get(key, LATER.get(key)), kind):
            yield f"{key}: expected {TOLD[kind]} (edited by hand?)"
            return
    if "started" in found:
        try:
            datetime.fromisoformat(found["started"])
        except (TypeError, ValueError):
            yield f"started={found['started']}: expected a time (edited by hand?)"
    for name, stage in found["stages"].items():
        yield from _wrong_stage(name, stage)


def _wrong_stage(name: str, stage: Any) -> Iterator[str]:
    fine = isinstance(stage, Mapping) and isinstance(stage.get("status"), str)
    if not fine or not isinstance(stage.get("metrics"), Mapping):
        yield f"stages.{name}: expected a stage with its metrics (edited by hand?)"
        return
    for key, usual in STAGE.items():
        kind = type(usual) if isinstance(usual, dict | list) else None
        if kind is not None and not isinstance(stage.get(key, usual), kind):
            yield f"stages.{name}.{key}: expected {TOLD[kind]} (edited by hand?)"
            return
    for metric, entry in stage["metrics"].items():
        value = entry.get("value") if isinstance(entry, Mapping) else None
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not isinstance(entry.get("unit", ""), str):
            yield f"stages.{name}.metrics.{metric}: expected a number (edited by hand?)"
