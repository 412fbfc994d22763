"""Uploads jobs to MLflow after the fact: `python -m modelbench.upload FOLDER ...`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from modelbench.results import Job, JobStatus, Metric, Result, Summary
from modelbench.sinks.mlflow import MLflow


def main() -> None:
    """Upload every job below the given folders, those of a sweep below its parent run."""
    parser = argparse.ArgumentParser(prog="python -m modelbench.upload", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--uri", help="tracking server; by default MLFLOW_TRACKING_URI, or local")
    parser.add_argument("--experiment", help="by default MLFLOW_EXPERIMENT_NAME, or modelbench")
    args = parser.parse_args()
    jobs = [file for folder in args.folders for file in sorted(folder.rglob("results.json"))]
    if not jobs:
        sys.exit(f"no results.json below {', '.join(map(str, args.folders))}")
    parents: dict[str, str | None] = {}
    for file in [file for folder in args.folders for file in sorted(folder.rglob("sweep.json"))]:
        sweep = json.loads(file.read_text(encoding="utf-8"))
        parents[sweep["id"]] = upload_sweep(file, sweep, MLflow(args.uri, args.experiment))
    arrived = sum(upload(file, MLflow(args.uri, args.experiment), parents) for file in jobs)
    print(f"uploaded {arrived} of {len(jobs)} jobs")  # noqa: T201
    sys.exit(0 if arrived == len(jobs) else 1)


def upload_sweep(file: Path, sweep: dict[str, Any], tracker: MLflow) -> str | None:
    """Record a sweep's parent run; return its id, or None where it did not arrive."""
    run_id = tracker.open_sweep(sweep["id"], file.parent, {})
    statuses = [row["status"] for row in sweep["jobs"]]
    counts = {status: statuses.count(status) for status in ("passed", "failed")}
    tallies = {"jobs": len(statuses), **counts}
    tracker.close_sweep(sweep["status"], tallies, ["sweep.csv", "sweep.json"], "")
    return run_id


def upload(file: Path, tracker: MLflow, parents: dict[str, str | None]) -> bool:
    """Record the job whose `results.json` is `file`; tell whether it arrived."""
    found = json.loads(file.read_text(encoding="utf-8"))
    names = ("name", "model", "test", "device", "precision", "axes", "seed", "config", "command")
    job = Job(
        **{name: found[name] for name in (*names, "sweep_id", "number", "environment")},
        directory=file.parent,
        parent_run_id=parents.get(found["sweep_id"]),
    )
    results = [_result(stage, entry) for stage, entry in found["stages"].items()]
    tracker.open(job)
    for result in results:
        tracker.record(result)
    status: JobStatus = "killed" if found["status"] == "running" else found["status"]
    tracker.close(Summary(status, results, found["reason"]))
    return not tracker.broken


def _result(stage: str, entry: dict[str, Any]) -> Result:
    metrics = {name: Metric(**metric) for name, metric in entry["metrics"].items()}
    curves = {
        name: {int(size): value for size, value in points.items()}
        for name, points in entry.get("curves", {}).items()
    }
    return Result(stage, **{**entry, "metrics": metrics, "curves": curves})


if __name__ == "__main__":
    main()
