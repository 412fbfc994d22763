"""Sweeps that go on after whatever ended them, and lose nothing that was found."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import CONFIGS, Command, Done

from hydra_plugins.modelbench_jobs import ordered
from modelbench.execution.cli.plan import plan
from modelbench.execution.resuming import (
    asked,
    changed,
    finished,
    hydras_own,
    lock_of,
    wanted,
)
from modelbench.results import Job, Result, Summary
from modelbench.sinks.files import Files

WORDS = ["--multirun", "model=toy", "batch_size=1,2,3"]


def sweep_of(done: Done) -> Path:
    """Return the folder of the only sweep."""
    (file,) = (done.folder / "outputs").rglob("sweep.json")
    return file.parent


def read(file: Path) -> Any:
    """Read JSON."""
    return json.loads(file.read_text(encoding="utf-8"))


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the sweep's table."""
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_failed_is_run_again(command: Command, tmp_path: Path) -> None:
    """Alone; what passed is left as it is, and so is the sweep's own id."""
    once = f"+model.build.count='{tmp_path}/count'"
    words = [*WORDS, "model.build._target_=failing.FailsAtFirst", once, "test=[structure]"]
    done = command(*words)
    assert done.status == 1
    folder = sweep_of(done)
    assert [row["status"] for row in rows(folder)] == ["failed", "passed", "passed"]
    before = read(folder / "sweep.json")
    written = {n: (folder / n / "results.json").stat().st_mtime_ns for n in "012"}
    again = command("--multirun", f"resume={folder}", tracker="")
    assert again.status == 0, again.err
    assert "2 of its jobs have passed, and what is missing or failed is run" in again.out
    assert [row["status"] for row in rows(folder)] == ["passed"] * 3
    assert read(folder / "sweep.json")["id"] == before["id"]
    assert read(folder / "sweep.json")["command"] == before["command"]
    now = {n: (folder / n / "results.json").stat().st_mtime_ns for n in "012"}
    assert [n for n in "012" if now[n] != written[n]] == ["0"]


def test_stages_that_passed_stand(command: Command) -> None:
    """Of a job that failed, and of one that was killed; the missing ones are run."""
    done = command(*WORDS, "test=[structure,fine]")
    folder = sweep_of(done)
    killed = read(folder / "1" / "results.json")
    del killed["stages"]["fine"]
    killed["status"] = "running"
    (folder / "1" / "results.json").write_text(json.dumps(killed), encoding="utf-8")
    half = read(folder / "2" / "results.json")
    half["stages"]["structure"]["unfinished"] = True
    half["status"] = "killed"
    (folder / "2" / "results.json").write_text(json.dumps(half), encoding="utf-8")
    again = command("--multirun", f"resume={folder}", tracker="")
    assert again.status == 0, again.err
    found = [read(folder / n / "results.json") for n in "012"]
    assert all(list(each["stages"]) == ["structure", "fine"] for each in found)
    assert found[1]["stages"]["structure"] == killed["stages"]["structure"]
    assert found[1]["id"] == killed["id"]
    assert "unfinished" not in found[2]["stages"]["structure"]
    assert found[2]["stages"]["fine"] == half["stages"]["fine"]


def test_a_missing_job_is_run_unless_only_failed_ones_are(command: Command) -> None:
    """`retry` leaves it missing, `resume` runs it."""
    import shutil

    done = command(*WORDS, "test=[structure]")
    folder = sweep_of(done)
    shutil.rmtree(folder / "1")
    again = command("--multirun", f"retry={folder}", tracker="")
    assert again.status == 0
    assert [row["job"] for row in rows(folder)] == ["0", "2"]
    again = command("--multirun", f"resume={folder}", tracker="")
    assert [row["job"] for row in rows(folder)] == ["0", "1", "2"]


def test_what_cannot_be_resumed(command: Command, tmp_path: Path) -> None:
    """Is refused with the reason, and nothing is lost."""
    done = command(*WORDS, "test=[structure]")
    folder = sweep_of(done)
    before = (folder / "0" / "results.json").read_bytes()
    for words, said in (
        ([f"resume={folder}"], "goes on with a sweep, and needs --multirun"),
        (["--multirun", f"resume={tmp_path}/no"], "has no sweep.json that says how it was started"),
        (["--multirun", f"resume={folder / '0'}"], "has jobs, but no sweep.json"),
        (["--multirun", f"resume={folder}", "model=toy", "batch_size=1,4", "test=[structure]"],
         "was started with"),
        (["--multirun", f"resume={folder}", f"retry={folder}"], "expected one of them"),
        (["--multirun", "model=toy", "order=backwards"], "order=backwards: expected listed or"),
    ):  # fmt: skip
        refused = command(*words, tracker="")
        assert refused.status == 1, words
        assert said in refused.err, refused.err
    document = read(folder / "1" / "results.json")
    document["config"]["model"]["width"] = 5
    document["status"] = "failed"
    (folder / "1" / "results.json").write_text(json.dumps(document), encoding="utf-8")
    refused = command("--multirun", f"resume={folder}", tracker="")
    assert refused.status == 1
    assert "model.width was 5, and is 4" in refused.err
    assert (folder / "0" / "results.json").read_bytes() == before
    document["status"] = "passed"  # what stands in its place is another job's all the same
    (folder / "1" / "results.json").write_text(json.dumps(document), encoding="utf-8")
    assert command("--multirun", f"resume={folder}", tracker="").status == 1
    cut = folder / "sweep.json"
    cut.write_text('{"id": ', encoding="utf-8")
    refused = command("--multirun", f"resume={folder}", tracker="")
    assert "cut short or edited by hand" in refused.err


def test_how_it_was_launched_is_kept(command: Command) -> None:
    """Hydra's own words, too: its launcher, and not where it ran."""
    words = ["hydra.sweep.dir='a'", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1",
             "hydra.mode=MULTIRUN", "hydra.callbacks.sweep.again='failed'"]  # fmt: skip
    assert hydras_own(words) == words[1:3]
    done = command(*WORDS, "test=[fine]", "hydra/launcher=basic")
    assert read(sweep_of(done) / "sweep.json")["hydra"] == ["hydra/launcher=basic"]
    folder = sweep_of(done)
    assert command("--multirun", f"resume={folder}", tracker="").status == 0
    with lock_of(folder):
        refused = command("--multirun", f"resume={folder}", tracker="")
    assert "the sweep is still running" in refused.err
    with lock_of(folder):
        refused = command(*WORDS, "test=[fine]", f"hydra.sweep.dir='{folder}'")
    assert refused.status == 1
    assert "another sweep is running there" in refused.err


def test_a_large_sweep_that_was_ended_early(command: Command) -> None:
    """Its jobs are not all known beforehand; each is checked when its turn comes."""
    sizes = ",".join(map(str, range(1, 10)))
    words = ["model=toy", f"batch_size={sizes}", f"seed={sizes}", "test=[fine]"]
    done = command("--multirun", "model=toy", "batch_size=1,2", "seed=1,2", "test=[fine]")
    folder = sweep_of(done)
    about = read(folder / "sweep.json")
    about["overrides"] = [*(w for w in about["overrides"] if "=" in w and w.split("=")[0] not in
                            {"model", "batch_size", "seed", "test"}), *words]  # fmt: skip
    (folder / "sweep.json").write_text(json.dumps(about), encoding="utf-8")
    resumed, overrides = asked([f"resume={folder}"], None, multirun=True)
    made = plan(overrides, [CONFIGS], multirun=True, dry=True, resumed=resumed)
    assert made.errors == []


def test_a_job_that_is_stopped_again_keeps_what_it_had(tmp_path: Path) -> None:
    """Also stages that would have come later."""
    had = [Result(name, "passed", 1.0) for name in ("structure", "benchmark")]
    job = Job("n", "m", "t", "cpu", "fp32", {}, 0, {}, "c", tmp_path, earlier=had)
    files = Files()
    files.open(job)
    files.close(Summary("killed", [Result("algorithm", "failed", 1.0, "no"), had[0]], "stopped"))
    assert list(read(tmp_path / "results.json")["stages"]) == [
        "algorithm", "structure", "benchmark"
    ]  # fmt: skip


def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is said once; the file has what came before."""
    job = Job("n", "m", "t", "cpu", "fp32", {}, 0, {}, "c", tmp_path)
    files = Files()
    files.open(job)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", _full)
        for stage in ("structure", "memory"):
            files.record(Result(stage, "passed", 1.0))
    assert files.lost
    assert capsys.readouterr().err.count("cannot be written (No space left on device)") == 1
    assert read(tmp_path / "results.json")["status"] == "running"
    files.close(Summary("passed", []))
    assert not files.lost
    assert list(read(tmp_path / "results.json")["stages"]) == ["structure", "memory"]


def _full(*_: Any, **__: Any) -> int:
    raise OSError(28, "No space left on device")


def test_the_order_of_jobs(command: Command) -> None:
    """By a seed, the same each time; sweeps go on in it."""
    jobs = [[f"a={n}"] for n in range(20)]
    assert ordered(jobs, "listed", 0) == jobs
    assert ordered(jobs, "random", 1) == ordered(jobs, "random", 1) != jobs
    assert ordered(jobs, "random", 2) != ordered(jobs, "random", 1)
    assert sorted(ordered(jobs, "random", 1)) == sorted(jobs)
    sizes = "batch_size=1,2,3,4,5,6"
    done = command("--multirun", "model=toy", sizes, "test=[fine]", "order=random", "seed=3")
    folder = sweep_of(done)
    found = [row["batch_size"] for row in rows(folder)]
    assert found != sorted(found) and sorted(found) == list("123456")
    import shutil

    shutil.rmtree(folder / "4")
    command("--multirun", f"resume={folder}", tracker="")
    assert [row["batch_size"] for row in rows(folder)] == found


def test_which_jobs_and_stages_count() -> None:
    """By how they ended."""
    assert wanted(None, "missing or failed")
    assert not wanted(None, "failed")
    for status in ("failed", "killed", "running"):
        assert wanted({"status": status}, "failed")
    assert not wanted({"status": "passed"}, "missing or failed")
    results = [Result("a", "passed", 1.0), Result("b", "failed", 1.0, "no"),
               Result("c", "skipped", 0.0, "not here")]  # fmt: skip
    stages = {each.stage: each.document() for each in results}
    assert finished({"stages": stages}) == [results[0], results[2]]
    assert finished(None) == []


def test_what_a_worker_finds_out_is_no_other_configuration() -> None:
    """The way of giving a model its input, and where its weights were fetched to."""
    model = {"weights": "random", "alternatives": [{"x": 1}], "inputs": {"y": 1}, "width": 4}
    found = {"config": {"model": {**model, "inputs": {"x": 1}, "alternatives": []}}}
    assert changed(found, {"model": model}) == []
    assert changed(found, {"model": {**model, "width": 5}}) == ["model.width was 4, and is 5"]
    fetched = {"config": {"model": {**model, "weights": "pretrained", "checkpoint": "/a"}}}
    now = {"model": {**model, "weights": "pretrained", "checkpoint": "org/a"}}
    assert changed(fetched, now) == []
    assert changed(None, now) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    """Goes on until it is whole: the same table, files that can be read, no run left RUNNING."""
    words = [sys.executable, "-m", "modelbench", "--config-dir", str(CONFIGS), "--multirun"]
    given = ["model=toy", "batch_size=1,2,3,4", "test=[structure,fine,benchmark]",
             "test.benchmark.budget_s=0.2", "test.benchmark.min_s=0.05",
             "test.benchmark.processes=2", "hydra.sweep.dir=sweep"]  # fmt: skip
    rng = random.Random(seed)
    environment = {**os.environ, "MODELBENCH_CACHE": str(tmp_path / "cache")}
    started = given
    for attempt in range(30):
        process = subprocess.Popen(
            [*words, *started], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True, env=environment,
        )  # fmt: skip
        try:
            out, _ = process.communicate(timeout=rng.uniform(4, 14) if attempt < 4 else 300)
            break
        except subprocess.TimeoutExpired:
            killed(process)
        if (tmp_path / "sweep" / "sweep.json").is_file():
            started = ["resume=sweep"]
    assert process.returncode == 0, out
    table = rows(tmp_path / "sweep")
    assert [(row["job"], row["batch_size"], row["status"]) for row in table] == [
        (str(n), str(n + 1), "passed") for n in range(4)
    ]
    assert all(row["benchmark/forward/p50_ms"] and row["structure/params"] for row in table)
    for file in (tmp_path / "sweep").rglob("*.json"):
        read(file)
    from test_mlflow import runs

    found = runs(tmp_path)
    assert not [run for run in found if run.info.status == "RUNNING"]
    whole = [run for run in found if run.info.status == "FINISHED"]
    assert len([run for run in whole if run.data.tags["kind"] == "job"]) == 4
    assert len([run for run in found if run.data.tags["kind"] == "sweep"]) == 1


def killed(process: subprocess.Popen[str]) -> None:
    """SIGKILL a process and all that it has started."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        try:
            each.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.communicate()
    time.sleep(0.3)
