"""What stages hand back and what is kept of it: plain data that pickles and turns into JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1

Status = Literal["passed", "failed", "skipped"]
JobStatus = Literal["running", "passed", "failed", "killed"]


class Skip(Exception):  # noqa: N818  (a result, not an error)
    """Raised by a stage that does not apply; the message is the reason."""


@dataclass(frozen=True)
class Metric:
    """One finite number with its unit."""

    value: float
    unit: str


@dataclass
class Report:
    """What one stage found. Names are short here; `Result` puts the stage's name before them."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    """Figures over the sizes of an axis."""
    failure: str | None = None
    """Why the stage has failed, though it ran through and its figures stand."""
    details: dict[str, Any] = field(default_factory=dict)
    """Plain data for whoever reads `results.json`."""
    notes: list[str] = field(default_factory=list)
    """Lines for the person at the terminal."""
    warnings: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """Let the stage fail though it goes on; several reasons stand side by side."""
        self.failure = f"{self.failure}; {reason}" if self.failure else reason

    def metric(self, name: str, value: float, unit: str) -> None:
        """Add a number; one that is not finite becomes a warning instead."""
        if math.isfinite(value):
            self.metrics[name] = Metric(value, unit)
        else:
            self.warnings.append(f"{name} came out as {value} and is left out")


@dataclass(frozen=True)
class Result:
    """How one stage ended. `metrics` and `series` carry full names, such as `structure/params`."""

    stage: str
    status: Status
    seconds: float
    reason: str | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    series: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """In order; None stands for NaN and infinity, which JSON lacks."""
    curves: Mapping[str, Mapping[int, float | None]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    artifacts: Sequence[str] = ()

    @classmethod
    def of(cls, stage: str, seconds: float, report: Report) -> Result:
        """Turn the report of a stage that ran through into its result."""
        return cls(
            stage,
            "failed" if report.failure else "passed",
            seconds,
            report.failure,
            metrics={f"{stage}/{name}": metric for name, metric in report.metrics.items()},
            series={f"{stage}/{name}": _finite(values) for name, values in report.series.items()},
            curves={f"{stage}/{name}": _finite(points) for name, points in report.curves.items()},
            details=_finite(report.details | ({"notes": report.notes} if report.notes else {})),
            warnings=report.warnings,
            artifacts=report.artifacts,
        )

    def joined(self, later: Result) -> Result:
        """Give both in one: this one ended in a part, and `later` went on without it."""
        notes = [*self.details.get("notes", []), *later.details.get("notes", [])]
        if later.status == "skipped":
            notes.append(later.reason)
        reasons = [self.reason, later.reason if later.status == "failed" else None]
        return replace(
            self,
            reason="; ".join(filter(None, reasons)),
            seconds=self.seconds + later.seconds,
            metrics={**later.metrics, **self.metrics},
            series={**later.series, **self.series},
            curves={**later.curves, **self.curves},
            details={**later.details, **self.details} | ({"notes": _once(notes)} if notes else {}),
            warnings=_once([*self.warnings, *later.warnings]),
            artifacts=_once([*self.artifacts, *later.artifacts]),
        )

    def document(self) -> dict[str, Any]:
        """Give the stage's entry in `results.json`."""
        entry = asdict(self)
        del entry["stage"]
        return entry


@dataclass(frozen=True)
class Partial:
    """What a stage had found when it began a part that its process may not survive."""

    result: Result
    doing: str
    rest: Mapping[str, Any]
    """Settings with which to go on without that part; empty where nothing comes after it."""

    def without_it(self, reason: str, seconds: float) -> Result:
        """Give what was found, failed for the part that was not."""
        why = f"{self.doing}: {reason}"
        if self.result.reason:
            why = f"{self.result.reason}; {why}"
        return replace(self.result, status="failed", reason=why, seconds=seconds)


@dataclass(frozen=True)
class Job:
    """What is run, where its files go and who ordered it."""

    name: str
    model: str
    test: str
    device: str
    precision: str
    axes: Mapping[str, int]
    seed: int
    config: Mapping[str, Any]
    command: str
    directory: Path
    environment: Mapping[str, Any] = field(default_factory=dict)
    sweep_id: str | None = None
    number: int | None = None
    """Its place in the sweep, from 0."""
    parent_run_id: str | None = None


@dataclass(frozen=True)
class Summary:
    """How a job ended."""

    status: JobStatus
    results: Sequence[Result] = ()
    reason: str | None = None
    """Why the job ended before its stages, where it did."""


def document(job: Job, summary: Summary) -> dict[str, Any]:
    """Give the whole of `results.json`."""
    return {
        "schema": SCHEMA,
        "status": summary.status,
        "reason": summary.reason,
        "name": job.name,
        "sweep_id": job.sweep_id,
        "number": job.number,
        "model": job.model,
        "test": job.test,
        "device": job.device,
        "precision": job.precision,
        "axes": dict(job.axes),
        "seed": job.seed,
        "command": job.command,
        "environment": dict(job.environment),
        "config": dict(job.config),
        "stages": {result.stage: result.document() for result in summary.results},
    }


def _once(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _finite(value: Any) -> Any:
    """Replace what JSON cannot hold by None, at any depth."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verdict(results: Sequence[Result]) -> JobStatus:
    """Tell how a job ended whose stages have these results: passed, unless one failed."""
    return "failed" if any(result.status == "failed" for result in results) else "passed"
