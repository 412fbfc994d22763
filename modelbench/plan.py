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
from yaml import YAMLError

from modelbench import config as schema
from modelbench import locate
from modelbench.mistakes import changed_types, check
from modelbench.sections import first_line, suggest

MOST = 64
"""Jobs of a sweep that are composed beforehand; of a larger one, each value once."""

FREE_TEXT = ("text", "image")
"""Keys whose value is taken as it is typed: nobody quotes a sentence twice."""


@dataclass
class Plan:
    """What a command line comes to."""

    overrides: list[str]
    mistakes: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    """What the models are built with and the fork server may import: installed packages."""


def plan(
    overrides: Sequence[str], folders: Sequence[Path], *, multirun: bool, dry: bool = False
) -> Plan:
    """Compose the jobs that `overrides` stand for and collect every mistake in them.

    Unless `dry`, the folder for their files is made.
    """
    schema.register()
    made = Plan([text if multirun else _as_typed(text) for text in overrides])
    made.mistakes += [f"--config-dir {f}: no such folder" for f in folders if not f.is_dir()]
    folders = [folder for folder in folders if folder.is_dir()]
    with initialize_config_dir(str(schema.CONF), version_base="1.3", job_name="modelbench"):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        known = _Known([schema.CONF, *folders])
        choices = []
        for text in made.overrides:
            variants = []
            for single in _singles(parser, text, known, made, multirun=multirun):
                trouble = known.trouble(parser.parse_override(single))
                if trouble:
                    made.mistakes.append(trouble)
                else:
                    variants.append(single)
            choices += [variants] if variants else []
        paths = ",".join(quoted(f"file://{folder}") for folder in folders)
        extra = [f"hydra.searchpath=[{paths}]"] if folders else []
        for combination in _combinations(choices):
            _check([*extra, *combination], known, made)
        if not (made.mistakes or dry):
            _reserve([*extra, *(c[0] for c in choices)], choices, made, multirun=multirun)
    made.mistakes = list(dict.fromkeys(made.mistakes))
    return made


def make_importable(folders: Sequence[Path]) -> None:
    """Let a `_target_` name a module that stands beside the user's configurations."""
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def quoted(text: str) -> str:
    """Quote a value for Hydra's grammar."""
    return "'" + text.replace("'", "\\'") + "'"


def _as_typed(text: str) -> str:
    key, _, value = text.partition("=")
    plain = key in FREE_TEXT and value not in {"", "null"} and value[:1] not in {"'", '"'}
    return f"{key}={quoted(value)}" if plain else text


def _check(overrides: list[str], known: _Known, made: Plan) -> None:
    """Compose one job, and add what is wrong with it."""
    try:
        config = compose("config", overrides)
        checked = check(config, known.folders)
        found = checked.mistakes
        if any(override.startswith("model.") for override in overrides):
            # The YAML's own value is the type of a key that no schema knows.
            groups = [o for o in overrides if not o.startswith("model.")]
            before = _model(compose("config", groups))
            found += changed_types("model", before, _model(config))
        if not found:
            target = checked.plain["model"]["build"]["_target_"]
            made.targets += [target] if locate.installed(target) else []
    except YAMLError as error:
        found = [f"a YAML cannot be read: {' '.join(str(error).split())}"]
    except (HydraException, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        found = [first_line(error)]
    made.mistakes += found


def _singles(
    parser: OverridesParser, text: str, known: _Known, made: Plan, *, multirun: bool
) -> Iterator[str]:
    """Take an override apart into the single ones that it sweeps over."""
    quotes = """a value with spaces, commas or quotes wants Hydra's: "KEY='...'\""""
    try:
        override = parser.parse_override(text)
        if not override.key_or_group:
            raise HydraException
    except HydraException:
        groups = [group for group in schema.SECTIONS if text in known.options(group)]
        meant = (
            f"did you mean {groups[0]}={text}?" if groups else f"such as image_size=128; {quotes}"
        )
        made.mistakes.append(f"{text}: expected KEY=VALUE, {meant}")
        return
    if not override.is_sweep_override():
        yield text
    elif not multirun:
        value = text.partition("=")[2]
        hint = f"several stages are test=[{value}]" if override.key_or_group == "test" else quotes
        made.mistakes.append(f"{text}: several values want --multirun; {hint}")
    elif override.is_discrete_sweep():
        sign = "+" if override.is_add() else ""
        for value in override.sweep_string_iterator():
            yield f"{sign}{override.get_key_element()}={value}"
    elif not any(other.startswith("hydra/sweeper=") for other in made.overrides):
        made.mistakes.append(f"{text}: an interval wants a sweeper that samples: hydra/sweeper=")


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
            return None  # Hydra's own; what a deletion leaves is checked when composed
        options = self.options(key)
        if options:
            value: Any = override.value()
            if isinstance(value, list) and key != "test":
                return f"{key}={','.join(map(str, value))}: only test takes a list"
            for option in value if isinstance(value, list) else [value]:
                if str(option) not in options:
                    return f"{key}={option}: unknown {key}{suggest(str(option), options)}"
            return None
        top = key.partition(".")[0]
        keys = {*schema.SECTIONS, *schema.Settings.__dataclass_fields__}
        return None if top in keys else f"{key}: unknown key{suggest(top, keys)}"

    def options(self, group: str) -> set[str]:
        """Give the names of a group's YAMLs."""
        return {file.stem for folder in self.folders for file in (folder / group).glob("*.yaml")}


def _reserve(first: list[str], choices: list[list[str]], made: Plan, *, multirun: bool) -> None:
    """Make the folder of the job or sweep, one of its own, and add it to the overrides.

    Hydra would work it out again for each job of a sweep, and give two runs that start within a
    second the same one. A folder that the user names is taken as it is.
    """
    config = compose("config", first, return_hydra_config=True)
    with open_dict(config):  # what varies gives a sweep its name
        config.hydra.overrides.task = [_varied(variants) for variants in choices]
    key = "hydra.sweep.dir" if multirun else "hydra.run.dir"
    folder = Path(OmegaConf.select(config, key))
    named = any(override.partition("=")[0] == key for override in made.overrides)
    try:
        folder = _make(folder, exist_ok=named)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".modelbench-"):
            pass
    except OSError as error:
        made.mistakes.append(
            f"output folder {folder}: cannot be written to ({error.strerror}); choose another "
            "with hydra.run.dir=FOLDER, for a sweep with hydra.sweep.dir=FOLDER"
        )
    made.overrides.append(f"{key}={quoted(str(folder))}")


def _make(folder: Path, *, exist_ok: bool) -> Path:
    for number in itertools.count(1):
        place = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            place.mkdir(parents=True, exist_ok=exist_ok)
        except FileExistsError:
            if exist_ok:
                raise
            continue
        return place
    raise AssertionError("unreachable")


def _varied(variants: list[str]) -> str:
    key = variants[0].partition("=")[0]
    values = [variant.partition("=")[2] for variant in variants]
    return f"{key}={','.join(values)}" if key == "model" or len(values) > 1 else f"{key}="


def _model(config: DictConfig) -> Any:
    """Give the model's section as written, less what the schema checks already."""
    raw = OmegaConf.to_container(config.model, resolve=False)
    assert isinstance(raw, dict)
    checked = {"name", "axes", "limits", "weights", "checkpoint"}
    return {key: value for key, value in raw.items() if key not in checked}
