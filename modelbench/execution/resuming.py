"""Going on with a sweep that has ended before its end: which it was, and what it lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from modelbench.config.quoting import quoted, with_number
from modelbench.results import Result
from modelbench.results.differences import differing
from modelbench.results.reading import (
    FILE,
    SWEEP,
    UnreadableError,
    read_json,
    read_results,
    results_files,
)

KEYS = {"resume": "missing or failed", "retry": "failed"}
"""What a command line says -> the jobs that are run."""


class NoSweepError(ValueError):
    """What was named is no sweep that one could go on with; the message is for people."""


@dataclass(frozen=True)
class Asked:
    """A sweep that is to go on."""

    folder: Path
    again: str
    overrides: list[str]
    """Those that it was started with."""
    config_dir: str | None
    """Likewise."""
    hydra: list[str]
    """Likewise: Hydra's own, such as its launcher."""

    @property
    def places(self) -> list[str]:
        """The overrides by which Hydra goes on in its folder."""
        again = [f"hydra.callbacks.sweep.again={quoted(self.again)}"]
        return [f"hydra.sweep.dir={quoted(str(self.folder))}", *again]


def asked(
    words: Sequence[str], config_dir: str | None, *, multirun: bool
) -> tuple[Asked | None, list[str]]:
    """Return the sweep that a command line is to go on with, and the overrides of its jobs.

    Raises NoSweepError for a folder that is none, and for words other than those it was started
    with.
    """
    found = [word for word in words if word.partition("=")[0] in KEYS]
    rest = [word for word in words if word not in found]
    if not found:
        return None, rest
    rest = [single for word in rest for single in with_number(word)]
    key, _, folder = found[-1].partition("=")
    if len(found) > 1:
        raise NoSweepError(f"{' '.join(found)}: expected one of them")
    if not multirun:
        raise NoSweepError(f"{found[0]}: goes on with a sweep, and needs --multirun")
    place = Path(folder.strip("'\"")).absolute()
    try:
        sweep = read_json(place / SWEEP)
        hydra = list(sweep["hydra"])
        started, own = [*hydra, *sweep["overrides"]], sweep["config_dir"]
    except (UnreadableError, KeyError, TypeError) as error:
        what = "has jobs, but no" if results_files(place) else "has no"
        raise NoSweepError(
            f"{key}={folder}: {what} {SWEEP} that says how it was started; expected the folder of "
            f"a sweep, such as outputs/sweeps/DATE/TIME-NAME ({error})"
        ) from error
    if rest and sorted(rest) != sorted(started):
        raise NoSweepError(
            f"{key}={folder}: the sweep was started with {_only(started, rest)}, and now there is "
            f"{_only(rest, started)}; leave all that away to go on with it, or start another one"
        )
    if _in_use(place):
        raise NoSweepError(f"{key}={folder}: the sweep is still running")
    if config_dir is not None and Path(config_dir).resolve() != Path(own or "").resolve():
        raise NoSweepError(f"{key}={folder}: the sweep was started with --config-dir {own}")
    return Asked(place, KEYS[key], started, own, hydra), started


def lock_of(folder: Path) -> FileLock:
    """Return the lock that a sweep's launcher holds while it runs."""
    return FileLock(folder / ".sweep.lock")


def _in_use(folder: Path) -> bool:
    try:
        with lock_of(folder).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that cannot be written, which is said later
        return False


def hydras_own(overrides: Sequence[str]) -> list[str]:
    """Return those of Hydra's overrides that say how jobs are launched, and not where."""
    places = ("hydra.sweep.dir", "hydra.callbacks", "hydra.mode", "hydra.searchpath")
    return [word for word in overrides if not word.startswith(places)]


def _only(words: Sequence[str], others: Sequence[str]) -> str:
    return " ".join(word for word in words if word not in others) or "no more"


def earlier(folder: Path) -> dict[str, Any] | None:
    """Return what a job has left in its folder; None of nothing that can be read."""
    try:
        return read_results(folder / FILE)
    except UnreadableError:
        return None


def wanted(document: Mapping[str, Any] | None, again: str) -> bool:
    """Return whether a job is run again that has left this."""
    if document is None:
        return again != KEYS["retry"]
    return bool(document["status"] != "passed")


def finished(document: Mapping[str, Any] | None) -> list[Result]:
    """Return the results that stand: of stages that passed, or were skipped."""
    if document is None:
        return []
    return [
        Result.restored(stage, entry)
        for stage, entry in document["stages"].items()
        if entry["status"] in {"passed", "skipped"} and not entry.get("unfinished")
    ]


def changed(document: Mapping[str, Any] | None, config: Mapping[str, Any]) -> list[str]:
    """Return what differs between the configuration that a job had and that which it has now."""
    if document is None:
        return []
    # What a worker finds out of the model, and where weights were fetched to, is written as well.
    left_out = {"model.checkpoint"} if config["model"]["weights"] == "pretrained" else set()
    if config["model"]["alternatives"]:
        left_out |= {f"model.{key}" for key in ("inputs", "alternatives", "input_note")}
    plain = json.loads(json.dumps(config))
    return [
        f"{path} was {one}, and is {two}"
        for path, one, two in differing("", document["config"], plain)
        if not any(path == each or path.startswith(f"{each}.") for each in left_out)
    ]


def unlike(sweep: Asked, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how the jobs that a sweep's words now stand for differ from those that it has run.

    Each of those in its folder has to be among them.
    """
    documents = [earlier(file.parent) for file in results_files(sweep.folder)]
    found = []
    for document in documents:
        if document is None:
            continue
        nearest = min((changed(document, job) for job in jobs if job), key=len, default=[])
        found += [f"{document['name']}: {line}" for line in nearest]
    if not found:
        return []
    lines = "; ".join(dict.fromkeys(found))
    return [
        f"resume={sweep.folder}: the configuration is another than the sweep was started with "
        f"({lines}); start a new sweep"
    ]
