"""The command line before Hydra runs it: every mistake in it, in all the jobs it stands for."""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from modelbench import config as schema
from modelbench.mistakes import changed_types, mistakes
from modelbench.sections import first_line, suggest

MOST = 64
"""Jobs of a sweep that are composed beforehand; of a larger one, each value once."""


@dataclass
class Plan:
    """What a command line comes to."""

    mistakes: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    """What the models are built with, for the fork server to import."""
    folder: str | None = None
    """Where a sweep's files go. Hydra would work it out again for each of its jobs."""


def plan(overrides: Sequence[str], folders: Sequence[Path], *, multirun: bool) -> Plan:
    """Compose the jobs that `overrides` stand for and collect every mistake in them."""
    schema.register()
    made = Plan(
        [f"--config-dir {folder}: no such folder" for folder in folders if not folder.is_dir()]
    )
    folders = [folder for folder in folders if folder.is_dir()]
    with initialize_config_dir(str(schema.CONF), version_base="1.3", job_name="modelbench"):
        loader = GlobalHydra.instance().config_loader()
        parser = OverridesParser.create(loader)
        known = _Known([schema.CONF, *folders])
        choices = []
        for text in overrides:
            variants = []
            for single in _singles(parser, text, made.mistakes, multirun=multirun):
                trouble = known.trouble(parser.parse_override(single))
                if trouble:
                    made.mistakes.append(trouble)
                else:
                    variants.append(single)
            choices += [variants] if variants else []
        path = ",".join(f"file://{folder}" for folder in folders)
        extra = [f"hydra.searchpath=[{path}]"] if folders else []
        for combination in _combinations(choices):
            _check([*extra, *combination], known, made)
        if not made.mistakes:
            made.folder = _folder([*extra, *(c[0] for c in choices)], overrides, multirun=multirun)
            made.mistakes += _unwritable(Path(made.folder))
    made.mistakes = list(dict.fromkeys(made.mistakes))
    return made


def make_importable(folders: Sequence[Path]) -> None:
    """Let a `_target_` name a module that stands beside the user's configurations."""
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _check(overrides: list[str], known: _Known, made: Plan) -> None:
    """Compose one job, and add what is wrong with it."""
    try:
        config = compose("config", overrides)
        found = mistakes(config, known.folders)
        if any(override.startswith("model.") for override in overrides):
            # The YAML's own value is the type of a key that no schema knows.
            groups = [o for o in overrides if not o.startswith("model.")]
            before = _model(compose("config", groups))
            found += changed_types("model", before, _model(config))
        if not found:
            made.targets.append(config.model.build._target_)
    except (HydraException, OmegaConfBaseException) as error:
        found = [first_line(error)]
    made.mistakes += found


def _singles(
    parser: OverridesParser, text: str, found: list[str], *, multirun: bool
) -> Iterator[str]:
    """Take an override apart into the single ones that it sweeps over."""
    try:
        override = parser.parse_override(text)
        if not override.key_or_group:
            raise HydraException
    except HydraException:
        found.append(f"{text}: expected KEY=VALUE, such as image_size=128")
        return
    if not override.is_sweep_override():
        yield text
    elif not multirun:
        found.append(f"{text}: several values want --multirun")
    elif override.is_discrete_sweep():  # a sweeper's own intervals are the sweeper's to check
        sign = "+" if override.is_add() else ""
        for value in override.sweep_string_iterator():
            yield f"{sign}{override.get_key_element()}={value}"


def _combinations(choices: list[list[str]]) -> Iterator[list[str]]:
    """Give each job's overrides; of a large sweep, one override varied at a time."""
    if math.prod(map(len, choices)) <= MOST:
        yield from map(list, itertools.product(*choices))
        return
    first = [variants[0] for variants in choices]
    yield first
    for index, variants in enumerate(choices):
        for variant in variants[1:]:
            yield [*first[:index], variant, *first[index + 1 :]]


@dataclass(frozen=True)
class _Known:
    """What the folders of configurations offer."""

    folders: list[Path]

    def trouble(self, override: Override) -> str | None:
        """Say what is wrong with the key of an override, or with its option."""
        key = override.key_or_group
        if key.partition(".")[0] == "hydra" or key.startswith("hydra/") or override.is_delete():
            return None  # Hydra's own
        options = self.options(key)
        if options:
            value: Any = override.value()
            for option in value if isinstance(value, list) else [value]:
                if str(option) not in options:
                    return f"{key}={option}: unknown {key}{suggest(str(option), options)}"
            return None
        if isinstance(override.value(), str | int | float | None) and key in schema.SECTIONS:
            return f"{key}: expected one of its options"
        top = key.partition(".")[0]
        keys = {*schema.SECTIONS, *schema.Settings.__dataclass_fields__}
        return None if top in keys else f"{key}: unknown key{suggest(top, keys)}"

    def options(self, group: str) -> set[str]:
        """Give the names of a group's YAMLs."""
        return {file.stem for folder in self.folders for file in (folder / group).glob("*.yaml")}


def _folder(first: list[str], overrides: Sequence[str], *, multirun: bool) -> str:
    config = compose("config", first, return_hydra_config=True)
    with open_dict(config):
        config.hydra.overrides.task = list(overrides)
    return str(config.hydra.sweep.dir if multirun else config.hydra.run.dir)


def _model(config: DictConfig) -> Any:
    """Give the model's section as written, less what the schema checks already."""
    raw = OmegaConf.to_container(config.model, resolve=False)
    assert isinstance(raw, dict)
    checked = {"name", "axes", "limits", "weights", "checkpoint"}
    return {key: value for key, value in raw.items() if key not in checked}


def _unwritable(directory: Path) -> list[str]:
    """Try whether a folder can be made and written to, without leaving a trace."""
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".modelbench-"):
            return []
    except OSError as error:
        return [
            f"output folder {directory}: cannot be written to ({error.strerror}); choose another "
            "with hydra.run.dir=FOLDER, for a sweep with hydra.sweep.dir=FOLDER"
        ]
