"""Sweeps over other launchers: their jobs come back, and never share a device at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from conftest import CONFIGS

from modelbench.execution.cli.plan import plan
from modelbench.execution.device_lock import RUNNING, alone_on, known_here, others_here
from modelbench.execution.schedule import Schedule
from modelbench.results import Result
from modelbench.system.cache import FOLDER
from modelbench.system.processes import since_boot

EXAMPLES = Path(__file__).parent.parent / "examples" / "launchers"
WORDS = ["--multirun", "model=toy", "test=[fine]", "batch_size=1,2", "tracker=none"]


def launched(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a sweep as a person does, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "modelbench", "--config-dir", str(CONFIGS), *WORDS, *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent.parent)},
    )  # fmt: skip


def statuses(folder: Path) -> list[str]:
    """Return how the jobs of the only sweep ended."""
    (file,) = (folder / "outputs").rglob("sweep.json")
    return [row["status"] for row in json.loads(file.read_text(encoding="utf-8"))["jobs"]]


@pytest.mark.slow
def test_slurms_executor_on_this_machine(tmp_path: Path) -> None:
    """Submitit's local one, which runs jobs as Slurm's does."""
    done = launched(tmp_path, "hydra/launcher=submitit_local")
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == ["passed", "passed"]
    failed = launched(tmp_path, "hydra/launcher=submitit_local", "test=raise", "hydra.sweep.dir=s")
    assert failed.returncode == 1  # though submitit says that its jobs have completed
    assert "ValueError: a [reason]" in failed.stdout


@pytest.mark.slow
def test_ray(tmp_path: Path) -> None:
    """Starts a cluster of its own; one that dies costs its job alone."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    done = launched(tmp_path, "hydra/launcher=ray")
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == ["passed", "passed"]
    absent = launched(tmp_path, "hydra/launcher=ray", "hydra.launcher.address=127.0.0.1:1")
    assert absent.returncode == 1
    assert "no Ray cluster at hydra.launcher.address=127.0.0.1:1" in absent.stderr


@pytest.mark.parametrize("name", ["joblib", "ray", "slurm"])
def test_the_examples_are_experiments(name: str) -> None:
    """Each with a launcher that Hydra knows, and jobs without an error."""
    head = (EXAMPLES / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert head[0] == "# @package _global_"
    assert any(f"+experiment={name}" in line for line in head)
    made = plan([f"+experiment={name}"], [EXAMPLES], multirun=True, dry=True)
    assert made.errors == []


def test_one_job_at_a_time_on_a_device(tmp_path: Path) -> None:
    """Of a sweep; others are free, and a single job waits for nobody."""
    inside: list[str] = []

    def job(device: str) -> None:
        with alone_on(device, tmp_path):
            inside.append(f"{device} in")
            time.sleep(0.2)
            inside.append(f"{device} out")

    threads = [threading.Thread(target=job, args=(d,)) for d in ("cpu", "cpu", "cuda:1")]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu = [each for each in inside if each.startswith("cpu")]
    assert cpu == ["cpu in", "cpu out"] * 2
    assert time.perf_counter() - start < 0.6
    with alone_on("cpu", None), alone_on("cpu", None):
        pass


def test_other_jobs_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are counted while they live; what a killed one has left is removed."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert others_here() == 0
    with known_here():
        assert others_here() == 0
        (folder,) = (tmp_path / RUNNING).iterdir()
        parent = psutil.Process(os.getppid())
        (folder / str(parent.pid)).write_text(f"{since_boot(parent)}", encoding="ascii")
        (folder / "999999").write_text("1.0", encoding="ascii")
        (folder / "1").write_text("no time", encoding="ascii")
        assert others_here() == 1
        assert sorted(file.name for file in folder.iterdir()) == sorted(
            [str(os.getpid()), str(parent.pid)]
        )
    assert not (folder / str(os.getpid())).exists()


def test_timings_beside_another_job_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a warning, and in the details."""
    here = iter([0, 0, 1, 2])
    monkeypatch.setattr("modelbench.execution.schedule.others_here", lambda: next(here))

    class Pool:
        def run(self, stage: str, *_: object) -> Result:
            return Result(stage, "passed", 1.0)

    results: list[Result] = []
    settings = {"timeout_s": 1.0}
    Schedule(Pool(), {"one": settings, "two": settings}, [], results).run()  # type: ignore[arg-type]
    assert results[0].warnings == () and "jobs_beside" not in results[0].details
    assert results[1].details["jobs_beside"] == 2
    assert "2 other jobs ran on this machine meanwhile" in results[1].warnings[0]
