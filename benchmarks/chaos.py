"""A sweep that is killed again and again: python benchmarks/chaos.py [KILLS] [SEED].

SIGKILL to all of its processes at random moments, each time resumed, until so many (50) have been
dealt; a sweep that ends is begun anew. Each final table is held against that of an undisturbed one,
figures that are measured aside; every JSON file is read; no run may be left RUNNING.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

WORDS = ["model=cnn", "batch_size=1,2,3,4", "test=[structure,visualization,benchmark,memory]",
         "test.benchmark.budget_s=0.5", "test.benchmark.min_s=0.1", "test.benchmark.processes=2",
         "test.benchmark.batch_sizes=[]"]  # fmt: skip
MEASURED = ("benchmark/", "memory/", "/nodes")
LEAST_S, MOST_S = 2.0, 16.0


def main() -> None:
    """Kill, resume, and tell."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(folder, [*WORDS, "hydra.sweep.dir=calm"], None)
        expected = _table(folder / "calm")
        dealt = sweeps = 0
        while dealt < kills:
            sweeps += 1
            words = [*WORDS, f"hydra.sweep.dir=sweep{sweeps}"]
            while not _run(folder, words, rng.uniform(LEAST_S, MOST_S) if dealt < kills else None):
                dealt += 1
                print(f"kill {dealt} of {kills}, sweep {sweeps}", flush=True)
                if (folder / f"sweep{sweeps}" / "sweep.json").is_file():
                    words = [f"resume=sweep{sweeps}"]
            wrong += [
                f"sweep {sweeps}, job {job}: {key} is {now.get(key)!r}, was {value!r}"
                for job, (now, row) in enumerate(
                    zip(_table(folder / f"sweep{sweeps}"), expected, strict=True)
                )
                for key, value in row.items()
                if now.get(key) != value
            ]
        _run(folder, ["model=cnn", "test=structure", "hydra.sweep.dir=last"], None)
        wrong += [f"unreadable: {file}" for file in folder.rglob("*.json") if not _reads(file)]
        wrong += [f"run {run.info.run_id} is RUNNING" for run in _runs(folder)
                  if run.info.status == "RUNNING"]  # fmt: skip
    print(f"{dealt} kills over {sweeps} sweeps; wrong: {wrong or 'nothing'}")
    sys.exit(bool(wrong))


def _run(folder: Path, words: list[str], seconds: float | None) -> bool:
    """Run a sweep, killed after so many seconds; return whether it came to its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "modelbench", "--multirun", *words], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "MODELBENCH_CACHE": str(folder / "cache")},
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid)
        for each in [family, *family.children(recursive=True)]:
            if each.is_running():
                each.kill()
        process.communicate()
        time.sleep(0.2)
        return False
    if process.returncode:
        sys.exit(f"status {process.returncode}:\n{out}")
    return True


def _table(folder: Path) -> list[dict[str, str]]:
    """Return the sweep's table without what is measured: which metrics there are, still."""
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        {key: "there" if value and any(m in key for m in MEASURED) else value
         for key, value in row.items() if "p9" not in key and "_slowdown" not in key}
        for row in rows
    ]  # fmt: skip


def _reads(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _runs(folder: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("modelbench")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


if __name__ == "__main__":
    main()
