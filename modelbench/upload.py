"""Uploads jobs to MLflow after the fact: `python -m modelbench.upload FOLDER ...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelbench.results import Job, JobStatus, Result, Summary
from modelbench.results.reading import (
    SWEEP,
    UnreadableError,
    read_json,
    read_results,
    results_files,
    started,
)
from modelbench.sinks.mlflow import MLflow
from modelbench.sinks.mlflow_store import JOB


@dataclass
class Upload:
    """What has become of the jobs."""

    uri: str | None
    experiment: str | None
    parents: dict[str, str | None] = field(default_factory=dict)
    """The parent runs of sweeps, by the sweeps' ids."""
    arrived: int = 0
    there: int = 0
    failed: int = 0

    def sweep(self, file: Path) -> None:
        """Record a sweep's parent run, unless it is there."""
        sweep = read_json(file)
        if not isinstance(sweep, dict) or not {"id", "status", "jobs"} <= sweep.keys():
            raise UnreadableError(f"{file}: no summary of a sweep of modelbench")
        tracker = MLflow(self.uri, self.experiment)
        if sweep["status"] == "running":
            query = f"tags.sweep_id = '{sweep['id']}' and tags.kind = 'sweep'"
            if alive := tracker.running(query, file.parent):
                self.parents[sweep["id"]] = alive
                return
        run_id = tracker.open_sweep(sweep["id"], file.parent, {}, again=True)
        statuses = [row["status"] for row in sweep["jobs"]]
        counts = {status: statuses.count(status) for status in ("passed", "failed")}
        tallies = {"jobs": len(statuses), **counts}
        status: JobStatus = "killed" if sweep["status"] == "running" else sweep["status"]
        files = ["sweep.csv", SWEEP, "report.html"]
        tracker.close_sweep(status, tallies, files, "")
        self.parents[sweep["id"]] = run_id

    def job(self, file: Path) -> None:
        """Record a job, unless the whole of it is there; what is there in part is replaced."""
        found = read_results(file)
        tracker = MLflow(self.uri, self.experiment)
        if tracker.has(found["id"], file.parent):
            self.there += 1
            return
        if found["status"] == "running" and tracker.running(
            f"tags.{JOB} = '{found['id']}'", file.parent
        ):
            raise UnreadableError(f"{file}: it is running, and records itself")
        names = ("name", "model", "test", "device", "precision", "axes", "seed", "config",
                 "command", "sweep_id", "number", "environment", "id")  # fmt: skip
        job = Job(
            **{name: found[name] for name in names},
            directory=file.parent,
            started=started(found, file).isoformat(),
            parent_run_id=self.parents.get(found["sweep_id"]),
            earlier=(),
        )
        results = [Result.restored(stage, entry) for stage, entry in found["stages"].items()]
        tracker.open(job)
        for result in results:
            tracker.record(result)
        status: JobStatus = "killed" if found["status"] == "running" else found["status"]
        tracker.close(Summary(status, results, found["reason"]))
        self.failed += tracker.broken
        self.arrived += not tracker.broken


def main(words: Sequence[str] | None = None) -> None:
    """Upload every job below the given folders, those of a sweep below its parent run."""
    parser = argparse.ArgumentParser(
        prog="python -m modelbench.upload", description=__doc__,
        epilog="What is there already stays as it is, however often this is repeated.",
    )  # fmt: skip
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--uri", help="tracking server; by default MLFLOW_TRACKING_URI, or local")
    parser.add_argument("--experiment", help="by default MLFLOW_EXPERIMENT_NAME, or modelbench")
    args = parser.parse_args(words)
    jobs = [file for folder in args.folders for file in results_files(folder)]
    if not jobs:
        sys.exit(f"no results.json below {', '.join(map(str, args.folders))}")
    upload = Upload(args.uri, args.experiment)
    sweeps = [file for folder in args.folders for file in sorted(folder.rglob(SWEEP))]
    wrong = [*_each(sweeps, upload.sweep), *_each(jobs, upload.job)]
    there = f", {upload.there} were there" if upload.there else ""
    for line in [f"uploaded {upload.arrived} of {len(jobs)} jobs{there}", *wrong]:
        print(line)  # noqa: T201
    sys.exit(1 if wrong or upload.failed else 0)


def _each(files: Sequence[Path], act: Any) -> list[str]:
    """Do it with each file; return what is wrong with those that cannot be read."""
    wrong = []
    for file in files:
        try:
            act(file)
        except UnreadableError as error:
            wrong.append(f"left out: {error}")
    return wrong


if __name__ == "__main__":
    main()
