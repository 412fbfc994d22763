"""What runs on this machine, whatever it is: python benchmarks/elsewhere.py [PYTEST ARGUMENTS].

All seven stages of the cnn, a sweep recorded in MLflow, and the tests: what to run first on a new
system, and under Wine. Needs no shell, no compiler and no Graphviz; prints one table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from report import table

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run, and tell."""
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        took = _modelbench(folder, "test=all")
        for file in folder.glob("outputs/runs/*/*/results.json"):
            stages = json.loads(file.read_text(encoding="utf-8"))["stages"]
            rows += [
                (
                    f"cnn, {stage}",
                    f"{entry['status']} {entry['reason'] or ''}",
                    f"{entry['seconds']:.0f}",
                )
                for stage, entry in stages.items()
            ]
        rows.append(("cnn, the whole job", "", f"{took:.0f}"))
        took = _modelbench(folder, "--multirun", "image_size=32,48", "test=structure")
        (sweep,) = folder.glob("outputs/sweeps/*/*/sweep.json")
        rows.append(
            (
                "a sweep of two",
                json.loads(sweep.read_text(encoding="utf-8"))["status"],
                f"{took:.0f}",
            )
        )
        rows.append(("MLflow", _recorded(folder), ""))
    start = perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sys.argv[1:]],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    rows += [("test", line.partition(" ")[2], "") for line in said if line.startswith("FAILED")]
    rows.append(("tests", said[-1], f"{perf_counter() - start:.0f}"))
    table(f"modelbench on {sys.platform}", ("what", "how it ended", "s"), rows)


def _modelbench(folder: Path, *words: str) -> float:
    start = perf_counter()
    command = [sys.executable, "-m", "modelbench", "model=cnn", *words]
    subprocess.run(command, cwd=folder, check=False, stdout=sys.stderr)
    return perf_counter() - start


def _recorded(folder: Path) -> str:
    from mlflow import MlflowClient

    uri = f"sqlite:///{(folder / 'outputs' / 'mlflow.db').as_posix()}"
    client = MlflowClient(uri)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return ", ".join(sorted(f"{run.info.run_name} {run.info.status}" for run in runs))


if __name__ == "__main__":
    main()
