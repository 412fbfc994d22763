"""What a sweep costs: python benchmarks/sweeps.py [JOBS].

How long 400 values are checked; what each further job of structure on the cnn takes, recorded in
MLflow, of two sweeps of different length; how the job process's memory grows over JOBS (1,000).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from report import report

from modelbench.execution.cli.plan import plan

VALUES, FEW, MORE = 400, 5, 45
MIB = 2**20


def main() -> None:
    """Measure, and tell."""
    jobs = int(sys.argv[1]) if sys.argv[1:] else 1000
    start = time.perf_counter()
    found = plan(["model=cnn", _seeds(VALUES)], [], multirun=True, dry=True)
    assert not found.errors
    checking = time.perf_counter() - start
    few, more = (_sweep(count)[0] for count in (FEW, MORE))
    each = (more - few) / (MORE - FEW)
    _, sizes = _sweep(jobs)
    half = sizes[len(sizes) // 2 :]
    grown = half[-1] / half[0] - 1
    rows = {"checking 400 values": [checking], "a sweep of 5": [few], "a sweep of 45": [more]}
    goals = {
        "checking 400 values, s": (checking, 5.0),
        "each further job, s": (each, 0.3),
        f"memory of the second half of {jobs} jobs, growth": (grown, 0.05),
    }
    print(f"memory: {sizes[0] / MIB:.0f} MiB, in the end {sizes[-1] / MIB:.0f} MiB")
    sys.exit(not report("what a sweep costs", rows, goals))


def _seeds(count: int) -> str:
    return "seed=" + ",".join(map(str, range(count)))


def _sweep(count: int) -> tuple[float, list[int]]:
    """Run a sweep; returns its seconds, and the job process's memory after each further job."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "modelbench", "--multirun", "model=cnn", "test=structure"]
        start = time.perf_counter()
        running = psutil.Popen(
            [*command, _seeds(count)], cwd=name, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        sizes, done = [], 0
        while running.poll() is None:
            time.sleep(0.5)
            now = sum(1 for _ in Path(name).glob("outputs/sweeps/*/*/*/results.json"))
            if now > done and running.is_running():
                sizes.append(running.memory_info().rss)
                done = now
        assert running.returncode == 0
        return time.perf_counter() - start, sizes


if __name__ == "__main__":
    main()
