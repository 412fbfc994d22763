"""A team's store: real servers, what happens when they fail, and what their UI shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS
from servers import postgres, postgres_programs, tracking_server

from modelbench.sinks import mlflow_store

PROGRAMS = postgres_programs()
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.slow


def ran(folder: Path, *words: str, module: str = "modelbench", **environment: str) -> Any:
    """Run a program as a person does, in a process of its own."""
    own = ["--config-dir", str(CONFIGS)] if module == "modelbench" else []
    return subprocess.run(
        [sys.executable, "-m", module, *own, *words], cwd=folder, capture_output=True, text=True,
        check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent.parent), **environment},
    )  # fmt: skip


def found(address: str) -> list[Any]:
    """Return the runs of the experiment, the latest first."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("modelbench")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


@pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed")
def test_postgresql_behind_a_server(tmp_path: Path) -> None:
    """From nothing to the first comparison; an upload that is repeated changes nothing."""
    assert PROGRAMS is not None
    with postgres(PROGRAMS) as store, tracking_server(tmp_path, store) as address:
        there = {"MLFLOW_TRACKING_URI": address}
        words = ["--multirun", "model=toy", "batch_size=1,2", "test=[structure,fine]"]
        done = ran(tmp_path, *words, **there)
        assert done.returncode == 0, done.stderr
        assert f"Compare runs at {address}/#/experiments/" in done.stdout
        runs = found(address)
        assert sorted(run.data.tags["kind"] for run in runs) == ["job", "job", "sweep"]
        assert {run.info.status for run in runs} == {"FINISHED"}
        compared = ran(
            tmp_path, "latest batch_size=1", "latest batch_size=1", module="modelbench.compare",
            **there,
        )  # fmt: skip
        assert compared.returncode == 0, compared.stderr
        for _ in range(2):
            again = ran(tmp_path, "outputs", module="modelbench.upload", **there)
            assert "uploaded 0 of 2 jobs, 2 were there" in again.stdout
        assert len(found(address)) == 3


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """The job completes with one warning; what it lacks is uploaded later, once."""
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    words = ["model=toy", "test=[fine,benchmark]", "test.benchmark.budget_s=8",
             "test.benchmark.min_s=8", "test.benchmark.processes=1",
             "test.benchmark.batch_sizes=[]"]  # fmt: skip
    with tracking_server(tmp_path, store) as address:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelbench", "--config-dir", str(CONFIGS), *words],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(CONFIGS.parent.parent),
                 "MLFLOW_TRACKING_URI": address},
        )  # fmt: skip
        end = time.monotonic() + 60
        while time.monotonic() < end and not any(
            "fine/pid" in run.data.metrics for run in _runs_or_none(address)
        ):
            time.sleep(0.2)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err.count("warning: MLflow has not recorded this") == 1
    assert "benchmark passed" in out
    with tracking_server(tmp_path, store) as address:
        there = {"MLFLOW_TRACKING_URI": address}
        assert "uploaded 1 of 1 jobs" in ran(
            tmp_path, "outputs", module="modelbench.upload", **there
        ).stdout  # fmt: skip
        again = ran(tmp_path, "outputs", module="modelbench.upload", **there)
        assert "uploaded 0 of 1 jobs, 1 were there" in again.stdout
        (run,) = found(address)
        assert run.info.status == "FINISHED"


def _runs_or_none(address: str) -> list[Any]:
    try:
        return found(address)
    except AssertionError:  # the experiment is not there yet
        return []


def test_credentials_that_are_refused(tmp_path: Path) -> None:
    """Cost nothing but the record; the right ones record it."""
    pytest.importorskip("flask_wtf", reason="mlflow[auth] is not installed")
    config = tmp_path / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = EDIT\n"
        f"database_uri = sqlite:///{tmp_path / 'auth.db'}\nadmin_username = admin\n"
        "admin_password = a-long-passphrase\nauthorization_function = "
        "mlflow.server.auth:authenticate_request_basic_auth\n", encoding="utf-8",
    )  # fmt: skip
    own = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "key"}
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with tracking_server(tmp_path, store, "--app-name", "basic-auth", environment=own) as address:
        words = ["model=toy", "test=fine"]
        wrong = {"MLFLOW_TRACKING_URI": address, "MLFLOW_TRACKING_USERNAME": "admin",
                 "MLFLOW_TRACKING_PASSWORD": "expired"}  # fmt: skip
        done = ran(tmp_path, *words, **wrong)
        assert done.returncode == 0
        assert done.stderr.count("warning: MLflow has not recorded this") == 1
        right = {**wrong, "MLFLOW_TRACKING_PASSWORD": "a-long-passphrase"}
        assert "uploaded 1 of 1" in ran(
            tmp_path, "outputs", module="modelbench.upload", **right
        ).stdout  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_ui_shows_the_sweep(tmp_path: Path) -> None:
    """Under the printed link: its runs, charts of them, and nothing in the console but MLflow's."""
    from playwright.sync_api import sync_playwright

    with tracking_server(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}") as address:
        words = ["--multirun", "model=toy", "batch_size=1,2", "test=[benchmark]",
                 "test.benchmark.budget_s=0.3", "test.benchmark.processes=1",
                 "test.benchmark.batch_sizes=[]"]  # fmt: skip
        done = ran(tmp_path, *words, MLFLOW_TRACKING_URI=address)
        assert done.returncode == 0, done.stderr
        link = re.search(r"Compare runs at (\S+)", done.stdout)
        assert link is not None
        with sync_playwright() as browsers:
            browser = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": 1600, "height": 1200})
            errors: list[str] = []
            tab.on("pageerror", partial(_keep, errors))
            tab.goto(link[1], wait_until="domcontentloaded")
            tab.wait_for_selector("text=toy-benchmark-fp32", timeout=60_000)
            tab.wait_for_selector("text=toy-benchmark-b2-fp32")
            tab.wait_for_selector("text=benchmark/forward", timeout=60_000)
            job = next(r for r in found(address) if r.data.tags["kind"] == "job")
            page = f"{address}/#/experiments/{job.info.experiment_id}/runs/{job.info.run_id}"
            tab = browser.new_page(viewport={"width": 1600, "height": 1200})
            tab.on("pageerror", partial(_keep, errors))
            tab.goto(f"{page}/artifacts/report.html", wait_until="domcontentloaded")
            tab.wait_for_selector("iframe", timeout=60_000)
            frame = tab.frame_locator("iframe").first
            frame.locator("text=Generated by modelbench").wait_for(timeout=60_000)
            assert errors == []
            browser.close()


def _keep(errors: list[str], error: Any) -> None:
    errors.append(str(error))


def test_runs_of_other_containers_are_left_alone_and_buried_in_time(tmp_path: Path) -> None:
    """By the time after which their process cannot be there any more."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    identity = client.create_experiment("modelbench")
    now = time.time()
    elsewhere = {"host": f"{mlflow_store._place()}x", "process": "999999/1.0"}
    ends = {"alive": f"{now + 60:.0f}", "gone": f"{now - 60:.0f}"}
    runs = {
        name: client.create_run(identity, tags={**elsewhere, "until": until}).info.run_id
        for name, until in ends.items()
    }
    here = {"host": mlflow_store._place(), "process": "999999/1.0"}
    runs["killed"] = client.create_run(identity, tags=here).info.run_id
    mine = mlflow_store.owner(60)
    runs["mine"] = client.create_run(identity, tags=mine).info.run_id
    mlflow_store._bury(client, identity)
    statuses = {name: client.get_run(run_id).info.status for name, run_id in runs.items()}
    assert statuses == {
        "alive": "RUNNING", "gone": "KILLED", "killed": "KILLED", "mine": "RUNNING"
    }  # fmt: skip
