"""One job, how it ended, and the document that is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from modelbench.results.result import Result

SCHEMA = 1
JobStatus = Literal["running", "passed", "failed", "killed"]


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
    id: str = field(default_factory=lambda: uuid4().hex)
    """Tells it from all others, wherever it is recorded; a job that is resumed keeps it."""
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    earlier: Sequence[Result] | None = None
    """Of a job that is resumed, what it had found; these stages are not run again."""
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
    """Return the whole of `results.json`."""
    return {
        "schema": SCHEMA,
        "id": job.id,
        "started": job.started,
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


def verdict(results: Sequence[Result]) -> JobStatus:
    """Tell how a job ended whose stages have these results: passed, unless one failed."""
    return "failed" if any(result.status == "failed" for result in results) else "passed"
