"""Every YAML that is shipped composes, and names follow from it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from checkpoints import gpt2
from hydra import compose, initialize_config_dir

from modelbench import config as schema
from modelbench import locate
from modelbench.builders import timm, torchvision
from modelbench.mistakes import check
from modelbench.usage import usage

CHECKPOINT = "openai-community/gpt2"
NEEDS = {
    "huggingface": [f"model.checkpoint={CHECKPOINT}"],
    "torchvision": ["model.arch=resnet50"],
    "timm": ["model.arch=vit_tiny_patch16_224"],
}
"""What a model cannot be chosen without."""
YAMLS = sorted(schema.CONF.rglob("*.yaml"))


def composed(*overrides: str) -> dict[str, Any]:
    """Compose a plain configuration that has no mistakes."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    checked = check(config, [schema.CONF])
    assert checked.mistakes == []
    return checked.plain


def test_the_walk_sees_every_yaml() -> None:
    """A walk that sees nothing tests nothing."""
    assert len(YAMLS) == 34
    assert {path.parent.name for path in YAMLS} == {"conf", "experiment", *schema.SECTIONS}


@pytest.fixture(autouse=True)
def _checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checkpoint that the YAML of `huggingface` names lie here instead of on the hub."""
    monkeypatch.chdir(tmp_path)
    gpt2().save_pretrained(CHECKPOINT)


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the names of torchvision and timm be known where they are not installed."""
    entry = {"kind": "classification", "size": 224, "mean": None, "std": None, "takes": [],
             "url": None, "built_for": None}  # fmt: skip
    monkeypatch.setattr(torchvision, "entry", lambda *_: entry)
    monkeypatch.setattr(timm, "entry", lambda *_: {})
    monkeypatch.setattr(locate, "trouble", lambda target, real=locate.trouble: (
        None if target.startswith(("torchvision.", "timm.")) else real(target)
    ))  # fmt: skip


def words(path: Path) -> list[str]:
    """Give the command that a YAML opens with, without `python -m modelbench`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines[:3] if line.startswith("#   python -m modelbench"))
    return shlex.split(line)[4:]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_yaml_composes(path: Path) -> None:
    """Each option, chosen by its name, has no mistakes, and says what it is for."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if not line.startswith("# @"))
    assert first.startswith("# ")
    if path.parent != schema.CONF:
        sign = "+" if path.parent.name == "experiment" else ""
        needs = NEEDS.get(path.stem, [])
        composed(f"{sign}{path.parent.name}={path.stem}", *needs)
        assert first.removeprefix("# ") in usage()


def test_the_command_in_each_yaml_is_right() -> None:
    """The exact command that a YAML opens with has no mistakes either."""
    for path in YAMLS:
        composed(*(word for word in words(path) if word != "--multirun"))


def test_all_is_every_stage() -> None:
    """`test=all` leaves out no stage that is shipped."""
    names = {path.stem for path in YAMLS if path.parent.name == "test"} - {"all"}
    assert set(schema.stages(composed())) == names


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["model=unet"], "unet-all-256-fp32"),
        (["image_size=8", "batch_size=4"], "cnn-all-8-b4-fp32"),
        (["test=structure"], "cnn-structure-32-fp32"),
        (["test=[benchmark,structure]"], "cnn-benchmark_structure-32-fp32"),
    ],
)
def test_a_job_is_named_after_what_it_measures(overrides: list[str], name: str) -> None:
    """Model, stages, sizes, precision; a batch only where there is one."""
    assert schema.job_name(composed(*overrides)) == name


def test_stages_keep_the_order_asked_for() -> None:
    """Settings of a stage that is not chosen do not choose it."""
    config = composed("test=[benchmark]", "test.structure.timeout_s=3")
    assert list(schema.stages(config)) == ["benchmark"]
    config = composed("test=[benchmark,structure]")
    assert list(schema.stages(config)) == ["benchmark", "structure"]


def test_a_sweep_is_named_after_what_varies() -> None:
    """Models first, then the other keys with several values."""
    assert schema.sweep_name(["model=cnn,unet", "image_size=64,128", "seed=1"]) == (
        "cnn_unet-image_size"
    )
    assert schema.sweep_name(["test.benchmark.min_s=1,2"]) == "min_s"
    assert schema.sweep_name([]) == "sweep"
