"""Sends jobs to MLflow that it did not get in time: `python -m modelbench.upload FOLDER ...`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from modelbench.results import Job, JobStatus, Metric, Result, Summary
from modelbench.sinks.mlflow import MLflow


def main() -> None:
    """Upload every job below the given folders."""
    parser = argparse.ArgumentParser(prog="python -m modelbench.upload", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--uri", help="tracking server; by default MLFLOW_TRACKING_URI, or local")
    parser.add_argument("--experiment", help="by default MLFLOW_EXPERIMENT_NAME, or modelbench")
    args = parser.parse_args()
    found = [file for folder in args.folders for file in sorted(folder.rglob("results.json"))]
    if not found:
        sys.exit(f"no results.json below {', '.join(map(str, args.folders))}")
    tracker = MLflow(args.uri, args.experiment)
    failures = sum(not upload(file, tracker) for file in found)
    print(f"uploaded {len(found) - failures} of {len(found)}")  # noqa: T201
    sys.exit(1 if failures else 0)


def upload(file: Path, tracker: MLflow) -> bool:
    """Record the job whose `results.json` is `file`; tell whether it arrived."""
    found = json.loads(file.read_text(encoding="utf-8"))
    names = ("name", "model", "test", "device", "precision", "axes", "seed", "config", "command")
    job = Job(
        **{name: found[name] for name in names},
        environment=found["environment"],
        directory=file.parent,
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
    return Result(stage, **{**entry, "metrics": metrics})


if __name__ == "__main__":
    main()
