"""What many runs cost: python benchmarks/many.py.

Two sweeps of 500 jobs, made up, read and compared; the page of one of them built. Six processes
that record 20 jobs each in one fresh store at once: how many runs are there, and complete.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from documents import document, write

JOBS, PROCESSES, EACH = 500, 6, 20


def main() -> None:
    """Do all of it, and tell."""
    with tempfile.TemporaryDirectory() as folder:
        comparing, page, size = _sweeps(Path(folder))
        seconds, whole = _at_once(Path(folder))
    print(f"page of {JOBS} jobs: {size / 1e6:.1f} MB; {PROCESSES} x {EACH} jobs: {seconds:.0f} s")
    rows = {"compare": [comparing], "page": [page], "recording at once": [seconds]}
    goals = {
        f"two sweeps of {JOBS} compared, s": (comparing, 10.0),
        f"page of {JOBS} jobs, s": (page, 5.0),
        f"page of {JOBS} jobs, MB": (size / 1e6, 5.0),
        "runs that are missing": (float(PROCESSES * EACH - whole), 0.5),
    }
    sys.exit(not report("many", rows, goals))


def _sweeps(folder: Path) -> tuple[float, float, int]:
    from modelbench.execution.sweep import _row

    for side in ("one", "two"):
        for number in range(JOBS):
            made = document([[10.0 + number % 7] * 400] * 5, params=number, macs_g=number)
            made["axes"] = {"batch_size": 1, "image_size": 8 * (number + 1)}
            made["number"] = number
            write(folder / side / str(number), made)
    words = [str(folder / "one"), str(folder / "two"), "--html", str(folder / "c.html")]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "modelbench.compare", *words], check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    comparing = time.perf_counter() - start
    files = sorted((folder / "one").rglob("results.json"))
    rows = [_row(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    program = (
        "import json, sys; from pathlib import Path; "
        "from modelbench.sinks.report.sweep import sweep_page; "
        "content = json.loads(Path(sys.argv[1]).read_text()); "
        "page, _ = sweep_page(content, 'command', Path(sys.argv[2])); "
        "Path(sys.argv[2], 'page.html').write_text(page)"
    )
    content = folder / "content.json"
    content.write_text(json.dumps({"id": "s", "status": "passed", "jobs": rows}), encoding="utf-8")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, str(content), str(folder)], check=True)
    return comparing, time.perf_counter() - start, (folder / "page.html").stat().st_size


def _at_once(folder: Path) -> tuple[float, int]:
    seeds = "seed=" + ",".join(map(str, range(EACH)))
    place = folder / "store"
    place.mkdir()
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "modelbench", "--multirun", "model=cnn", "test=structure", seeds,
             f"hydra.sweep.dir={number}"],
            cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "MLFLOW_TRACKING_URI": ""},
        )
        for number in range(PROCESSES)
    ]  # fmt: skip
    for process in running:
        process.wait()
    return time.perf_counter() - start, sum(map(_complete, _runs(place)))


def _runs(place: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("modelbench")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    return [run for run in found if run.data.tags["kind"] == "job"]


def _complete(run: Any) -> bool:
    return run.info.status == "FINISHED" and "structure/params" in run.data.metrics


if __name__ == "__main__":
    main()
