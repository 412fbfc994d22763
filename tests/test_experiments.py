"""An experiment is a list of jobs, each checked beforehand, which one sweep runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import CONFIGS, Command
from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from hydra_plugins.modelbench_jobs import with_jobs
from modelbench.config import schema
from modelbench.execution.cli.plan import plan
from modelbench.execution.sweep import Sweep

MODELS = ["cnn", "unet", "gpt2", "clip", "stable_diffusion"]


def test_every_job_with_every_combination() -> None:
    """What the command line sets wins over the job's own."""
    jobs = [["model=cnn", "image_size=8"], ["model=gpt2"]]
    combinations = [["image_size=16", "seed=0"], ["image_size=16", "seed=1"]]
    assert with_jobs(jobs, combinations) == [
        ["model=cnn", "image_size=16", "seed=0"],
        ["model=cnn", "image_size=16", "seed=1"],
        ["model=gpt2", "image_size=16", "seed=0"],
        ["model=gpt2", "image_size=16", "seed=1"],
    ]
    assert with_jobs([], [["seed=1"]]) == [["seed=1"]]
    assert with_jobs([["+model.x=1"]], [["model.x=2"]]) == [["model.x=2"]]


@pytest.mark.parametrize("name", ["all_models", "smoke"])
def test_shipped_experiments_have_no_errors(name: str) -> None:
    """Also in a job that is not the first."""
    assert plan([f"+experiment={name}"], [], multirun=True, dry=True).errors == []


@pytest.mark.slow
def test_the_smoke_experiment(command: Command) -> None:
    """Five models over two input configurations: one parent, and every child has finished."""
    from mlflow import MlflowClient

    words = ["--multirun", "+experiment=smoke"]
    done = command(*words, "test=structure", tracker="mlflow")
    assert (done.status, done.err) == (0, "")
    (file,) = (done.folder / "outputs" / "sweeps").rglob("sweep.json")
    assert file.parent.name.endswith("-smoke")
    jobs = json.loads(file.read_text())["jobs"]
    assert [job["model"] for job in jobs] == [name for name in MODELS for _ in range(2)]
    assert {job["status"] for job in jobs} == {"passed"}
    client = MlflowClient(f"sqlite:///{done.folder / 'outputs' / 'mlflow.db'}")
    (experiment,) = (e for e in client.search_experiments() if e.name == "modelbench")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    (parent,) = (run for run in runs if run.data.tags["kind"] == "sweep")
    children = [run for run in runs if run.data.tags["kind"] == "job"]
    assert len(children) == 10
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}


def experiment(folder: Path, sweeper: str) -> list[Path]:
    """Write an experiment of one's own."""
    file = folder / "configs" / "experiment" / "own.yaml"
    file.parent.mkdir(parents=True)
    head = "# @package _global_\ndefaults: [{override /hydra/sweeper: jobs}]\n"
    file.write_text(f"{head}hydra:\n  sweeper:\n    {sweeper}\n")
    return [folder / "configs", CONFIGS]


@pytest.mark.parametrize(
    ("sweeper", "errors"),
    [
        ("jobs: [[model=cnn], [model=cnm]]", ["model=cnm: unknown model; did you mean cnn?"]),
        ("jobs: [[model=cnn], [model=cnn, image_size=2]]", ["image_size=2: too small for cnn"]),
        ("params: {model: 'cnn,gpt2', image_size: '8'}", ["model gpt2 has no such axis"]),
        ("params: {model: 'cnn,unet', image_size: '32'}", []),
    ],
)
def test_every_job_of_an_experiment_is_checked_first(
    sweeper: str, errors: list[str], tmp_path: Path
) -> None:
    """Those that it lists, and those that its parameters stand for."""
    folders = experiment(tmp_path, sweeper)
    schema.register()
    found = plan(["+experiment=own"], folders, multirun=True, dry=True).errors
    assert len(found) == len(errors)
    assert all(part in whole for part, whole in zip(errors, found, strict=True))


def test_several_jobs_want_multirun(command: Command) -> None:
    """Else only the default would run."""
    done = command("+experiment=smoke")
    assert done.status == 1
    assert "this experiment lists several jobs; it needs --multirun" in done.err


def test_a_sweep_lets_go_of_each_job_s_configuration() -> None:
    """Hydra would keep both of every job until the end."""
    done = JobReturn(cfg=OmegaConf.create({"a": 1}), hydra_cfg=OmegaConf.create({"b": 2}))
    Sweep().on_job_end(OmegaConf.create(), done)
    assert done.cfg is done.hydra_cfg is None
