"""The configuration: where it lies, its typed sections, and the names that follow from it.

Nothing here imports torch or MLflow. `modelbench.config.validate` holds a composed configuration
against these types; the stages' sections are typed by the stages themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from modelbench.system.file_name import file_name

PACKAGE = Path(__file__).resolve().parent.parent
# A wheel carries conf/ inside the package; a checkout and an editable install have it beside.
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"

AXES = ("batch_size", "image_size", "sequence_length", "audio_length", "num_frames")
"""The axes that have a name at the top level."""

WEIGHTS = ("random", "pretrained", "fake", "given")
"""`given`: those of a module that Python code has handed over."""

ORDERS = ("listed", "random")
"""Of the jobs of a sweep."""

SECTIONS = ("model", "test", "device", "precision", "runtime", "data", "tracker")


@dataclass
class Settings:
    """What stands at the top level beside the sections."""

    image_size: int | None = None
    batch_size: int | None = None
    sequence_length: int | None = None
    audio_length: int | None = None
    num_frames: int | None = None
    text: str | None = None
    image: str | None = None
    seed: int = 0
    order: str = "listed"

    def __post_init__(self) -> None:
        """Check the range that torch and numpy both take as a seed."""
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed}: expected 0 to {2**32 - 1}")
        if self.order not in ORDERS:
            raise ValueError(f"order={self.order}: expected {' or '.join(ORDERS)}")


@dataclass
class Limit:
    """Which sizes of an axis the model takes."""

    min: int = 1
    max: int | None = None
    multiple_of: int = 1

    def __post_init__(self) -> None:
        """Refuse limits that no size can meet."""
        if self.min < 1 or self.multiple_of < 1 or (self.max or self.min) < self.min:
            raise ValueError(f"limits {self}: expected 1 <= min <= max and multiple_of >= 1")


@dataclass
class Model:
    """A model's YAML; further keys are the model's own, used by it as `${model.KEY}`."""

    name: str = MISSING
    build: Any = MISSING
    axes: dict[str, int] = MISSING
    inputs: Any = MISSING
    alternatives: list[Any] = field(default_factory=list)
    """Further mappings like `inputs`: the first that the model runs on counts."""
    input_note: str | None = None
    """What a person should know of the input."""
    limits: dict[str, Limit] = field(default_factory=dict)
    classes: list[str] | None = None
    """Names of the classes in the order of the outputs."""
    phases: Any = None
    loss: Any = None
    data: Any = None
    learning_rate: float = 1e-3
    weights: str = "random"
    checkpoint: str | None = None
    trust_remote_code: bool = False
    describe: Any = None

    def __post_init__(self) -> None:
        """Refuse weights of an unknown kind."""
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights={self.weights}: expected {' or '.join(WEIGHTS)}")
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate={self.learning_rate}: expected 0 or more")


@dataclass
class Device:
    """Which device, and how many threads torch uses on the CPU."""

    name: str = MISSING
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check the device's form and the number of threads."""
        if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", self.name):
            raise ValueError(f"name={self.name}: expected auto, cpu, cuda, cuda:1, mps or xpu")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads={self.threads}: expected 1 or more")


@dataclass
class Precision:
    """In which precision the model runs; without a scheme, as built."""

    name: str = MISSING
    scheme: Any = None

    def __post_init__(self) -> None:
        """Refuse a label that nothing stands behind."""
        if self.scheme is None and self.name != "fp32":
            raise ValueError(
                f"name={self.name}: expected fp32, or a scheme; precision={self.name} chooses both"
            )


@dataclass
class Runtime:
    """What runs the model in inference; without an engine, eager PyTorch."""

    name: str = MISSING
    engine: Any = None

    def __post_init__(self) -> None:
        """Refuse a label that nothing stands behind."""
        if self.engine is None and self.name != "eager":
            raise ValueError(
                f"name={self.name}: expected eager, or an engine; runtime={self.name} chooses both"
            )


def register() -> None:
    """Tell Hydra what it needs beyond the YAMLs; may be called again."""
    # Hydra stops at the first key it does not know. In sections that are open to any key, it is
    # our own check that meets them, all of them at once.
    sections: dict[str, Any] = {name: DictConfig({}, flags={"struct": False}) for name in SECTIONS}
    ConfigStore.instance().store("open_sections", DictConfig(sections))
    for name, resolver in (("job_name", _job_name), ("sweep_name", sweep_name)):
        OmegaConf.register_new_resolver(f"modelbench.{name}", resolver, replace=True)


def axes(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the model's axes at the sizes asked for."""
    sizes: dict[str, int] = dict(config["model"]["axes"])
    asked = {axis: config[axis] for axis in sizes if config.get(axis) is not None}
    return sizes | asked


def stages(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of the chosen stages, in their order.

    `test.benchmark.budget_s=20` may stand on a command line that does not choose `benchmark`; the
    entry then lacks the `_target_` that the stage's own YAML brings.
    """
    return {
        name: dict(entry)
        for name, entry in config["test"].items()
        if isinstance(entry, Mapping) and "_target_" in entry
    }


def test_label(config: Mapping[str, Any]) -> str:
    """Name the choice of stages: `all`, or their names joined."""
    chosen = list(stages(config))
    every = list(OmegaConf.load(CONF / "test" / "all.yaml").defaults)
    return "all" if chosen == every else "_".join(chosen)


def job_name(config: Mapping[str, Any]) -> str:
    """Name a job after what it measures: `unet-all-256-fp32`."""
    sizes = axes(config)
    batch = sizes.pop("batch_size", 1)
    parts = [config["model"]["name"], test_label(config)]
    parts += ["x".join(map(str, sizes.values()))] if sizes else []
    parts += [f"b{batch}"] if int(batch) > 1 else []
    parts.append(config["precision"]["name"])
    runtime = config["runtime"]["name"]
    parts += [runtime] if runtime != "eager" else []
    return file_name("-".join(map(str, parts)))


def sweep_name(overrides: Sequence[str]) -> str:
    """Name a sweep after its models and the other keys that vary: `cnn_unet-image_size`."""
    pairs = [override.lstrip("+").partition("=")[::2] for override in overrides]
    models = [v.replace(",", "_") for key, v in pairs if key in {"experiment", "model"}]
    varied = [key.rpartition(".")[2] for key, value in pairs if "," in value and key != "model"]
    return file_name("-".join([*models, *varied]) or "sweep")


def _job_name(*, _root_: DictConfig) -> str:
    from modelbench.config.describe import described

    _root_ = described(_root_)
    sections = {key: OmegaConf.to_container(_root_[key], resolve=True) for key in SECTIONS[:5]}
    return job_name(sections | {axis: _root_[axis] for axis in AXES})
