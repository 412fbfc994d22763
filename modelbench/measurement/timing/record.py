"""What earlier runs found on this machine, kept in the user's cache.

python -m modelbench.measurement.timing.record            shows it
python -m modelbench.measurement.timing.record --forget   forgets it, such as after a bad hour
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, exp, log, sqrt
from pathlib import Path
from statistics import median, stdev
from time import time
from typing import Any

from filelock import FileLock
from scipy.special import stdtrit

from modelbench.results.json_file import write_json
from modelbench.system.cache import cache_folder

KEPT = 100
"""Runs of one kind that are kept, the latest."""
LEARNED = 8
"""Runs without which nothing is said of how they vary."""
COUNTED = 20
"""Runs from which on the reach is counted off, and no distribution assumed."""
DAY_S = 24 * 3600
"""What earlier runs have to span: those of one sitting do not know what the machine does later."""
UNKNOWN = 0.025
"""Relative standard deviation between runs of a machine that is not known yet: about what this
project's own varied by (benchmarks/between_runs.py)."""
UNKNOWN_FREEDOM = 8.0
"""Degrees of freedom that this is worth."""


@dataclass(frozen=True)
class Usual:
    """What a figure usually is here, and by how much runs vary. Of logarithms: relative."""

    median: float
    spread: float
    """Root of the mean squared distance from the median."""
    runs: int
    reach: float
    """Distance from the median within which 95% of runs lie."""
    span_s: float
    """From the first of these runs to the last."""

    @classmethod
    def of(cls, values: Sequence[float], span_s: float) -> Usual | None:
        """Return it for positive values that were found within so long; None of too few."""
        count = len(values)
        if count < LEARNED:
            return None
        logs = [log(value) for value in values]
        middle = median(logs)
        distances = sorted(abs(each - middle) for each in logs)
        spread = sqrt(sum(distance**2 for distance in distances) / (count - 1))
        reach = float(stdtrit(count - 1, 0.975)) * spread
        if count >= COUNTED:
            reach = distances[min(count, ceil(0.95 * (count + 1))) - 1]
        return cls(exp(middle), spread, count, reach, span_s)


@dataclass(frozen=True)
class Known:
    """By how much medians vary from run to run, and how that is known."""

    spread: float
    freedom: float
    """Degrees of freedom of the spread."""
    told: str
    reach: float | None = None
    """Where earlier runs of the very same call are known: how far they lie from their median."""


ASSUMED = Known(
    UNKNOWN, UNKNOWN_FREEDOM, f"{UNKNOWN:.1%} assumed between runs, since few were made here yet"
)


class Record:
    """The earlier runs of one thing, told from all others by `what` determines it."""

    def __init__(self, **what: Any) -> None:
        self.what = what
        text = json.dumps(what, sort_keys=True, default=str)
        self._file = folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def usual(self, name: str) -> Usual | None:
        """Return what a figure was in earlier runs; None of fewer than it takes to say so."""
        runs = [run for run in _read(self._file) if name in run["values"]]
        span_s = runs[-1]["at"] - runs[0]["at"] if runs else 0.0
        return Usual.of([run["values"][name] for run in runs], span_s)

    def add(self, values: Mapping[str, float]) -> None:
        """Add a run's figures."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._file.with_suffix(".lock")):
            runs = [*_read(self._file), {"at": time(), "values": dict(values)}]
            write_json(self._file, {"what": self.what, "runs": runs[-KEPT:]})


def known(own: Usual | None, machine: Usual | None, what: str) -> Known:
    """Return the variation between runs: of the same call, else of the machine, else assumed."""
    if own is not None:
        told = f"{own.runs} earlier runs of the same here, which varied by {own.spread:.1%}"
        if own.span_s >= DAY_S:
            return Known(own.spread, own.runs - 1, told, own.reach)
        told += f"; {UNKNOWN:.1%} at least are assumed, since they span less than a day"
        least = float(stdtrit(UNKNOWN_FREEDOM, 0.975)) * UNKNOWN
        return Known(own.spread, own.runs - 1, told, max(own.reach, least))
    if machine is not None and machine.spread > UNKNOWN:
        told = (
            f"{machine.runs} earlier runs here, in which the {what} control varied by "
            f"{machine.spread:.1%}"
        )
        return Known(machine.spread, machine.runs - 1, told)
    return ASSUMED


def folder() -> Path:
    """Return where the records lie."""
    return cache_folder() / "runs"


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["runs"]
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or cut short
        return []
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Show the record, or forget it."""
    parser = argparse.ArgumentParser(
        prog="python -m modelbench.measurement.timing.record",
        description="Show what earlier runs found on this machine, from which the intervals know "
        "by how much runs vary.",
    )
    parser.add_argument("--forget", action="store_true", help="forget all of it")
    forget = parser.parse_args(words).forget
    files = sorted(folder().glob("*.json"))
    for file in files:
        if forget:
            file.unlink()
        else:
            _show(file)
    _write(f"{'forgot' if forget else 'in all'} {len(files)} records in {folder()}")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _show(file: Path) -> None:
    runs = _read(file)
    if not runs:
        _write(f"{file.name}: cannot be read; it will be written anew")
        return
    what = json.loads(file.read_text(encoding="utf-8"))["what"]
    _write(", ".join(f"{key} {value}" for key, value in what.items()))
    for name in dict.fromkeys(name for run in runs for name in run["values"]):
        values = [run["values"][name] for run in runs if name in run["values"]]
        since = datetime.fromtimestamp(runs[0]["at"]).astimezone()
        varied = f", varied by {stdev(map(log, values)):.1%}" if len(values) > 1 else ""
        _write(
            f"  {name}: {median(values):,.4g}{varied}, {len(values)} runs since {since:%F %H:%M}"
        )


if __name__ == "__main__":
    main()
