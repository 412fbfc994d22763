"""MLflow gets what happened, and no trouble of its own costs a result."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from conftest import CONFIGS, Command

from modelbench import upload
from modelbench.sinks.mlflow_store import Store, _open

if TYPE_CHECKING:
    from mlflow.entities import Run


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a database once, since that takes MLflow seconds; the tests copy it."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path) -> Path:
    """Return a folder with an empty store in it."""
    (tmp_path / "outputs").mkdir()
    shutil.copy(empty_store, tmp_path / "outputs" / "mlflow.db")
    return tmp_path


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the machine's own MLflow settings, and those of other tests, out."""
    for name in ("TRACKING_URI", "EXPERIMENT_NAME", "RUN_ID"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    _open.cache_clear()
    yield
    _open.cache_clear()


def runs(folder: Path, experiment: str = "modelbench") -> list[Run]:
    """Return the runs of the store in `folder`, the oldest first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    order = ["attributes.start_time ASC"]
    return list(client.search_runs([found.experiment_id], order_by=order))


def artifacts(run: Run) -> set[str]:
    """Return the names of a run's files."""
    folder = Path(str(run.info.artifact_uri).removeprefix("file://"))
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_job_is_a_run(folder: Path, command: Command) -> None:
    """Params with short names, numeric axes, tags, metrics, a series by steps, files, status."""
    done = command("model=toy", "test=[fine,raise]", "batch_size=3", tracker="mlflow")
    (run,) = runs(done.folder)
    data: Any = run.data
    assert run.info.run_name == "toy-fine_raise-b3-fp32"
    assert run.info.status == "FAILED"
    expected = {"model": "toy", "test": "fine_raise", "precision": "fp32", "device": "cpu"}
    assert expected.items() <= data.params.items()
    assert data.params["batch_size"] == "3"
    assert data.params["seed"] == "0"
    assert data.params["model.build._target_"] == "toys.Toy"
    assert data.metrics["input/batch_size"] == 3
    assert data.metrics["fine/pid"] > 0
    tags = {"kind": "job", "model": "toy", "status": "failed", "device": "cpu"}
    assert tags.items() <= data.tags.items()
    assert {"torch_version", "modelbench_version", "git_dirty"} <= set(data.tags)
    wanted = {"results.json", "model_test.log", "graph/fine.txt", "config.yaml"}
    assert wanted <= {name.removeprefix(".hydra/") for name in artifacts(run)}
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{done.folder}/outputs/mlflow.db")
    history = client.get_metric_history(run.info.run_id, "fine/loss")
    assert [(point.step, point.value) for point in history] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert "mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db" in done.out


def test_a_sweep_is_a_parent_with_children(folder: Path, command: Command) -> None:
    """Failed jobs have their rows too, and every status is what happened."""
    done = command("--multirun", "model=toy", "test=fine,raise", "batch_size=1,2", tracker="mlflow")
    assert done.status == 1
    parent, *children = runs(done.folder)
    assert (parent.data.tags["kind"], parent.info.status) == ("sweep", "FAILED")
    assert len(children) == 4
    for child in children:
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["sweep_id"] == parent.data.tags["sweep_id"]
    assert [child.info.status for child in children] == ["FINISHED"] * 2 + ["FAILED"] * 2
    assert parent.data.metrics == {"sweep/jobs": 4, "sweep/passed": 2, "sweep/failed": 2}
    assert artifacts(parent) == {"report.html", "sweep.csv", "sweep.json"}
    summary = json.loads(next(done.folder.rglob("sweep.json")).read_text())
    assert [row["status"] for row in summary["jobs"]] == ["passed", "passed", "failed", "failed"]
    assert summary["jobs"][2]["reason"] == "raise: ValueError: a [reason]"
    table = next(done.folder.rglob("sweep.csv")).read_text().splitlines()
    assert len(table) == 5
    assert "fine/pid" in table[0]
    assert "tags.sweep_id" in done.out
    assert "orderByKey" not in done.out  # nothing was timed


@pytest.mark.slow
def test_a_sweep_over_processes(folder: Path, command: Command) -> None:
    """Another launcher's processes find the parent run, and its jobs are counted."""
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = command(
        "--multirun", *launcher, "model=toy", "test=[fine]", "batch_size=1,2", tracker="mlflow"
    )
    assert done.status == 0
    parent, *children = runs(folder)
    assert [run.info.status for run in (parent, *children)] == ["FINISHED"] * 3
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert parent.data.metrics["sweep/passed"] == 2


def test_an_inherited_run_id_is_ignored(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MLFLOW_RUN_ID` of an outer run does not swallow ours."""
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    done = command("model=toy", "test=fine", tracker="mlflow")
    assert [run.info.status for run in runs(done.folder)] == ["FINISHED"]
    assert done.err == ""


def test_the_environment_names_the_experiment(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MLFLOW_EXPERIMENT_NAME` counts, and the configuration counts for more."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from outside")
    done = command("model=toy", "test=fine", tracker="mlflow")
    assert len(runs(done.folder, "from outside")) == 1
    command("model=toy", "test=fine", "tracker.experiment=mine", tracker="mlflow")
    assert len(runs(done.folder, "mine")) == 1


class _Silent(http.server.BaseHTTPRequestHandler):
    """Accepts a request and never answers."""

    def do_GET(self) -> None:
        """Sleep longer than anyone waits."""
        time.sleep(20)


@pytest.mark.timing
@pytest.mark.parametrize("answers", [False, None], ids=["silent", "absent"])
def test_a_server_that_does_not_answer(
    command: Command, answers: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results are on disk, the warning names the upload, the wait is short; then they upload."""
    server = None
    if answers is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    else:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Silent)
        server.daemon_threads = True
        port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    start = time.monotonic()
    uri = f"tracker.uri=http://127.0.0.1:{port}"
    done = command("model=toy", "test=fine", uri, tracker="mlflow")
    waited = time.monotonic() - start
    if server is not None:
        server.shutdown()
        server.server_close()
    assert done.status == 0
    assert done.results["status"] == "passed"
    assert waited < 20  # the contract's 10 s of waiting, and the job
    assert done.err.count("MLflow has not recorded this") == 1
    folder = done.files[0].parent
    assert f"python -m modelbench.upload {folder}" in done.err
    again = subprocess.run(
        [sys.executable, "-m", "modelbench.upload", str(folder)],
        cwd=done.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "uploaded 1 of 1" in again.stdout
    (run,) = runs(done.folder)
    assert (run.info.status, run.data.metrics["input/batch_size"]) == ("FINISHED", 2)


def _start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "modelbench", "--config-dir", str(CONFIGS), "model=toy"]
    return subprocess.Popen(
        [*words, *overrides], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait_for_log(folder: Path, text: str) -> Path:
    """Wait until a job's log holds `text`."""
    for _ in range(600):
        for log in folder.rglob("model_test.log"):
            if text in log.read_text(encoding="utf-8"):
                return log.parent
        time.sleep(0.1)
    raise AssertionError(f"no log with {text!r} after 60 s")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize(
    ("number", "status", "why"),
    [
        (2, 130, "Ctrl-C"),
        pytest.param(15, 143, "SIGTERM", marks=pytest.mark.slow),
        pytest.param(1, 129, "SIGHUP", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "sweep", [pytest.param(False, id="job", marks=pytest.mark.slow), pytest.param(True, id="sweep")]
)
def test_a_stopped_job_is_killed_everywhere(
    folder: Path, number: int, status: int, why: str, sweep: bool
) -> None:
    """Exit status, `results.json`, MLflow and the worker all know; what was done is kept."""
    words = ["--multirun", "test=[fine,hang]", "batch_size=1,2"] if sweep else ["test=[fine,hang]"]
    process = _start(folder, *words)
    job = _wait_for_log(folder, "stage hang")
    descendants = psutil.Process(process.pid).children(recursive=True)
    while process.poll() is None:  # as a tired person does, up to the very end
        process.send_signal(number)
        time.sleep(0.01)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == status
    results = json.loads((job / "results.json").read_text(encoding="utf-8"))
    assert (results["status"], results["reason"]) == ("killed", f"stopped by {why}")
    assert results["stages"]["fine"]["status"] == "passed"
    assert {run.info.status for run in runs(folder)} == {"KILLED"}
    assert len(runs(folder)) == 1 + sweep
    assert not psutil.wait_procs(descendants, timeout=10)[1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.slow
def test_a_job_killed_outright_leaves_no_running_run(folder: Path) -> None:
    """SIGKILL cannot be caught: the workers end by themselves, the next job ends the run."""
    process = _start(folder, "test=[fine,hang]")
    job = _wait_for_log(folder, "stage hang")
    descendants = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=30)
    assert not psutil.wait_procs(descendants, timeout=10)[1]
    results = json.loads((job / "results.json").read_text(encoding="utf-8"))
    assert results["stages"]["fine"]["status"] == "passed"
    assert [run.info.status for run in runs(folder)] == ["RUNNING"]
    _start(folder, "test=fine").communicate(timeout=60)
    assert [run.info.status for run in runs(folder)] == ["KILLED", "FINISHED"]


@pytest.mark.slow
def test_several_processes_start_on_a_fresh_store(tmp_path: Path) -> None:
    """Three at once, three runs."""
    processes = [
        _start(tmp_path, "test=fine", f"hydra.run.dir=outputs/{n}", "tracker=mlflow")
        for n in range(3)
    ]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ends
    assert [run.info.status for run in runs(tmp_path)] == ["FINISHED"] * 3


@pytest.mark.slow
def test_without_mlflow_installed(tmp_path: Path) -> None:
    """`tracker=none` needs no MLflow; the default says in one line that it is missing."""
    program = (
        "import sys; sys.modules['mlflow'] = None; from modelbench.__main__ import main; main()"
    )
    words = [sys.executable, "-c", program, "--config-dir", str(CONFIGS), "model=toy", "test=fine"]

    def act(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, *more], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = act("tracker=none")
    assert (done.returncode, done.stderr) == (0, "")
    done = act()
    assert done.returncode == 0
    assert "pip install mlflow" in done.stderr


def test_a_store_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of a sweep share one client."""
    monkeypatch.chdir(tmp_path)
    assert Store.open(None, None) is Store.open(None, None)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_an_upload_that_is_repeated(
    folder: Path, command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    """Adds nothing; results that have changed since take the place of what was there."""
    done = command("model=toy", "test=fine")
    told = []
    for status in ("passed", "passed", "killed"):
        document = json.loads(done.files[0].read_text(encoding="utf-8"))
        if document["status"] != status:
            text = json.dumps({**document, "status": status})
            done.files[0].write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit):
            upload.main([str(done.files[0].parent)])
        told.append(capfd.readouterr().out.strip())
        (run,) = runs(folder)
        assert run.info.status == {"passed": "FINISHED", "killed": "KILLED"}[status]
    assert told == [
        "uploaded 1 of 1 jobs", "uploaded 0 of 1 jobs, 1 were there", "uploaded 1 of 1 jobs"
    ]  # fmt: skip
    (folder / "sweep.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        upload.main([str(folder)])
    assert ended.value.code == 1
    assert "no summary of a sweep of modelbench" in capfd.readouterr().out


def test_the_model_is_ranked_by_its_metrics(folder: Path, command: Command) -> None:
    """As a LoggedModel of the job's run, which MLflow searches and sorts."""
    from mlflow import MlflowClient

    done = command("--multirun", "model=toy", "test=structure", "batch_size=1,2", tracker="mlflow")
    assert done.status == 0
    client = MlflowClient(f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("modelbench")
    assert experiment is not None
    models = client.search_logged_models([experiment.experiment_id])
    assert [model.name for model in models] == ["toy-fp32", "toy-fp32"]
    assert sorted(model.params["batch_size"] for model in models) == ["1", "2"]
    for model in models:
        assert str(model.status) == "READY"
        metrics = {metric.key: metric.value for metric in model.metrics}
        assert metrics["structure/params"] == 10
    jobs = {run.info.run_id for run in runs(folder) if run.data.tags["kind"] == "job"}
    assert {model.source_run_id for model in models} == jobs
