"""What logging a job to MLflow costs: python benchmarks/mlflow_cost.py.

A real job is run once, then its results are recorded again and again in a fresh local store. The
import of MLflow and the creation of the database stand apart: they come once a process and once a
store.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

from report import report, seconds

from modelbench.execution.cli.app import run
from modelbench.results.json_file import write_json
from modelbench.results.reading import read_json


def main() -> None:
    """Run the job, then time its recording."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if run(["model=cnn", "tracker=none", "test.benchmark.min_s=0.5"]):
            sys.exit("the job failed")
        (results,) = Path("outputs").rglob("results.json")
        importing = seconds(lambda: __import__("mlflow"), 1)

        from modelbench.sinks.mlflow import MLflow
        from modelbench.upload import Upload

        creating = seconds(lambda: MLflow().prepare(results.parent), 1)
        content = read_json(results)

        def log_one() -> None:
            write_json(results, {**content, "id": uuid4().hex})  # another job each time
            Upload(None, None).job(results)

        logging = seconds(log_one, 10)
        os.chdir("/")
    rows = {"import mlflow": importing, "create the store": creating, "log one job": logging}
    goals = {"one job": (statistics.median(logging), 1.0)}
    sys.exit(not report("mlflow cost", rows, goals))


if __name__ == "__main__":
    main()
