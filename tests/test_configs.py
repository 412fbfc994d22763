"""Every YAML of the package composes, and names follow from it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from checkpoints import gpt2
from conftest import Command
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from modelbench.config import locate, schema
from modelbench.config.validate import check
from modelbench.execution.cli import compose as composing
from modelbench.execution.cli.compose import Composer
from modelbench.execution.cli.help import usage
from modelbench.execution.cli.plan import plan
from modelbench.models import huggingface
from modelbench.models.builders import timm, torchvision
from modelbench.system.file_name import file_name

CHECKPOINT = "openai-community/gpt2"
NEEDS = {
    "huggingface": [f"model.checkpoint={CHECKPOINT}"],
    "torchvision": ["model.arch=resnet50"],
    "timm": ["model.arch=vit_tiny_patch16_224"],
    "images": ["data.folder=pictures"],
    "hf": ["data.folder=dataset"],
    "hf_text": ["data.folder=dataset"],
    "text": ["data.file=text.txt"],
}
"""What an option cannot be chosen without."""
YAMLS = sorted(schema.CONF.rglob("*.yaml"))


def composed(*overrides: str) -> dict[str, Any]:
    """Compose a plain configuration that has no errors."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    checked = check(config, [schema.CONF])
    assert checked.errors == []
    return checked.plain


def test_the_walk_sees_every_yaml() -> None:
    """A walk that sees nothing tests nothing."""
    assert len(YAMLS) == 50
    assert {path.parent.name for path in YAMLS} == {"conf", "experiment", *schema.SECTIONS}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a dataset as the library does, and return its folder."""
    from datasets import Dataset

    folder = tmp_path_factory.mktemp("saved") / "dataset"
    columns = {"image": [0] * 8, "text": ["a text"] * 8, "label": [0] * 8}
    Dataset.from_dict(columns).save_to_disk(folder)
    return folder


@pytest.fixture(autouse=True)
def _checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: Path) -> None:
    """Let what the YAMLs of `huggingface` and of data name lie here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures" / "class").mkdir(parents=True)
    for name in ("one.png", "two.png"):
        (tmp_path / "pictures" / "class" / name).touch()
    shutil.copytree(dataset, tmp_path / "dataset")
    (tmp_path / "text.txt").write_text("a text", encoding="utf-8")
    gpt2().save_pretrained(CHECKPOINT)


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the names of torchvision and timm be known where they are not installed."""
    entry = {"kind": "classification", "size": 224, "mean": None, "std": None, "takes": [],
             "url": None, "built_for": None}  # fmt: skip
    monkeypatch.setattr(torchvision, "entry", lambda *_: entry)
    monkeypatch.setattr(timm, "entry", lambda *_: {})
    monkeypatch.setattr("modelbench.config.describe._TOLD", {})  # what is told here is of these
    monkeypatch.setattr(locate, "unlocatable", lambda target, real=locate.unlocatable: (
        None if target.startswith(("torchvision.", "timm.")) else real(target)
    ))  # fmt: skip


def words(path: Path) -> list[str]:
    """Return the command that a YAML opens with, without `python -m modelbench`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines[:3] if line.startswith("#   python -m modelbench"))
    return shlex.split(line)[4:]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_yaml_composes(path: Path) -> None:
    """Each option, chosen by its name, has no errors, and says what it is for."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if not line.startswith("# @"))
    assert first.startswith("# ")
    if path.parent != schema.CONF:
        sign = "+" if path.parent.name == "experiment" else ""
        needs = NEEDS.get(path.stem, [])
        composed(f"{sign}{path.parent.name}={path.stem}", *needs)
        assert first.removeprefix("# ") in usage()


def test_the_command_in_each_yaml_is_right() -> None:
    """The exact command that a YAML opens with has no errors either."""
    for path in YAMLS:
        composed(*(word for word in words(path) if word != "--multirun"))


def test_all_is_every_stage() -> None:
    """`test=all` leaves out no stage of the package, but those that are asked for by name."""
    names = {path.stem for path in YAMLS if path.parent.name == "test"} - {
        "all",
        "profile",
        "runtimes",
        "recommend",
    }
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


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=unet", "image_size=64", "model.num_classes=3"],
        ["model.axes.image_size=8", "+model.limits.batch_size.max=4", "~seed"],
        ["test=[benchmark,structure]", "test.benchmark.budget_s=1", "device.threads=2"],
        ["+model.own=1", "model.own=2", "~model.own", "model={name: x}"],
        ["precision=bf16", "++model.learning_rate=1", "model.build={_target_: a.b, c: [1, 2]}"],
        ["~model", "+experiment=smoke", "hydra.run.dir=x", "text='a, b'"],
        ["model.build.width=${model.num_classes}", "tracker=none", "~model.build.input_channels"],
    ],
)
def test_values_set_afterwards_are_as_composed(overrides: list[str]) -> None:
    """A configuration whose options' files were read before is Hydra's own."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        composer = Composer(parser, [schema.CONF])
        for _ in range(2):
            ours, theirs = composer.compose(overrides), compose("config", overrides)
            assert ours == theirs
            assert OmegaConf.to_yaml(ours) == OmegaConf.to_yaml(theirs)
            assert OmegaConf.is_struct(ours) == OmegaConf.is_struct(theirs)
        for wrong in ("~model.nothing", "+device.name=x", "a@b=c"):
            with pytest.raises(HydraException) as mine:
                composer.compose([*overrides, wrong])
            with pytest.raises(HydraException) as hydras:
                compose("config", [*overrides, wrong])
            assert str(mine.value) == str(hydras.value)


def test_each_checkpoint_of_a_sweep_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options' files are read once, too; a checkpoint that changed is asked again."""
    asked: list[str] = []
    composed: list[Any] = []
    ask, read = huggingface.describe, compose

    def describe(checkpoint: str, **rest: Any) -> Any:
        asked.append(checkpoint)
        return ask(checkpoint, **rest)

    def reading(*args: Any) -> Any:
        composed.append(args)
        return read(*args)

    monkeypatch.setattr(huggingface, "describe", describe)
    monkeypatch.setattr(composing, "compose", reading)
    folders = [str(tmp_path / f"checkpoint{number}") for number in range(5)]
    for folder in folders:
        gpt2().save_pretrained(folder)
    words = ["model=huggingface", f"model.checkpoint={','.join(folders)}"]
    for _ in range(2):
        made = plan([*words, "batch_size=1,2"], [], multirun=True, dry=True)
        assert made.errors == []
        assert asked == folders
    assert len(composed) == 2  # once for each plan
    (Path(folders[0]) / "config.json").write_text("{}")
    made = plan(words, [], multirun=True, dry=True)
    assert "names no architectures" in made.errors[0]
    assert asked == [*folders, folders[0]]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("unet-all-256-fp32", "unet-all-256-fp32"),
        ("../../x", "_.._x"),
        ("/etc/passwd", "_etc_passwd"),
        (r"C:\x", "C__x"),
        ("..", "_"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("모델 a", "모델_a"),
        ("a" * 300, "a" * 100),
        ("ends. ", "ends._"),
    ],
)
def test_a_name_is_one_part_of_a_path(text: str, name: str) -> None:
    """On every system, so that nothing is written elsewhere."""
    assert file_name(text) == name
    assert Path(name).name == name


def test_a_model_s_name_cannot_leave_its_folder(command: Command, tmp_path: Path) -> None:
    """What it says is kept, and its files lie where all do."""
    done = command("model=toy", "test=structure", "model.name='../../x'")
    assert (done.status, done.results["model"]) == (0, "../../x")
    assert done.files[0].is_relative_to(tmp_path / "outputs" / "runs")
