"""Every error in a composed configuration, each in one line; nothing heavy is imported."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelbench.config import checkpoint, limits, locate, schema, schemes
from modelbench.config.describe import described
from modelbench.config.sections import (
    WANTED,
    first_line,
    in_words,
    same_kind,
    section,
    suggest,
    targeted,
)

RECIPES = ("build", "inputs", "phases", "loss", "data", "describe")
"""Keys of a model that are held against what they name, and not against a type."""


@dataclass(frozen=True)
class Checked:
    """A configuration as its types have it, and what is wrong with it."""

    plain: dict[str, Any]
    errors: list[str]


def check(config: DictConfig, folders: Sequence[Path]) -> Checked:
    """Hold a composed configuration against its types, and its sizes against its model.

    `folders` are those with configurations, ours and the user's.
    """
    try:
        config = described(config)
        raw: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        return Checked({}, [_unresolved(config, error)])
    except (ValueError, LookupError, InstantiationException) as error:
        # Hydra's own message names the target, and not what went wrong
        return Checked({}, [str(error.__cause__ or error)])
    found = [
        f"{name}: expected one of its options"
        for name in schema.SECTIONS
        if not isinstance(raw.get(name), Mapping)
    ]
    if found:
        return Checked({}, found)
    settings = {key: value for key, value in raw.items() if key not in schema.SECTIONS}
    own = _own_keys(config)
    known = {key: value for key, value in raw["model"].items() if key not in own}
    plain = {
        **section("", schema.Settings, settings, found),
        "model": {
            **{key: value for key, value in raw["model"].items() if key in own},
            **section("model.", schema.Model, known, found, RECIPES),
        },
        "test": {name: _stage(name, raw["test"][name], folders, found) for name in raw["test"]},
        "device": section("device.", schema.Device, raw["device"], found),
        "precision": section("precision.", schema.Precision, raw["precision"], found),
        "runtime": section("runtime.", schema.Runtime, raw["runtime"], found),
        "data": targeted("data.", raw["data"], found),
        "tracker": targeted("tracker.", raw["tracker"], found),
    }
    schemes.resolve(plain, folders, found)
    if not schema.stages(plain):
        found.append("test: no stage is chosen")
    found += limits.errors(plain)
    found += _recipe(plain["model"]["build"])
    found += checkpoint.errors(plain["model"])
    found += _inputs(plain["model"]["inputs"])
    found += _targets("model", plain["model"])
    found += _targets("precision", plain["precision"])
    found += _targets("runtime", plain["runtime"])
    for name, entry in plain["test"].items():
        found += _targets(f"test.{name}", {k: v for k, v in entry.items() if k != "_target_"})
    found += _picture(plain["image"])
    return Checked(plain, found)


def changed_types(path: str, before: Any, after: Any) -> Iterator[str]:
    """Name what a command line gave another type than its YAML has, at any depth."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before.keys() & after.keys():
            yield from changed_types(f"{path}.{key}", before[key], after[key])
    elif before is not None and after is not None and not same_kind(before, after):
        like = f"{WANTED.get(type(before), type(before).__name__)} such as {before}"
        yield f"{path}={after}: found {in_words(after)}, expected {like}"


def _stage(name: str, entry: Any, folders: Sequence[Path], found: list[str]) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        words = f"found {in_words(entry)}, expected the settings of a stage"
        found.append(f"test.{name}={entry}: {words}")
        return {}
    if "_target_" in entry:
        return targeted(f"test.{name}.", entry, found)
    # Settings of a stage that is not chosen: its own YAML tells which they may be.
    for folder in folders:
        file = folder / "test" / f"{name}.yaml"
        if file.is_file():
            own: Any = OmegaConf.to_container(OmegaConf.load(file))
            targeted(f"test.{name}.", {**own[name], **entry}, found)
            return dict(entry)
    stages = {file.stem for folder in folders for file in (folder / "test").glob("*.yaml")}
    found.append(f"test.{name}: unknown stage{suggest(name, stages - {'all'})}")
    return dict(entry)


def _own_keys(config: DictConfig) -> set[str]:
    """Return the keys of the model's YAML that are no schema's, but that the YAML refers to."""
    raw = str(OmegaConf.to_container(config.model, resolve=False))
    used = set(re.findall(r"\$\{\.*(?:model\.)?(\w+)", raw))
    return used - set(typing.get_type_hints(schema.Model))


def _unresolved(config: DictConfig, error: OmegaConfBaseException) -> str:
    """Return what a `${...}` refers to that is not there, and what there is instead."""
    missing = re.search(r"Interpolation key '([\w.]+)' not found", str(error))
    path = missing[1].split(".") if missing else []
    for depth in range(len(path) - 1, 0, -1):
        key = ".".join(path[:depth])
        node = OmegaConf.select(config, key)
        if isinstance(node, DictConfig):
            hint = suggest(path[depth], map(str, node))
            return f"{error.full_key}: refers to {path[depth]!r}, which is not in {key}{hint}"
    return f"{error.full_key or 'configuration'}: {first_line(error)}"


def _recipe(build: Any) -> Iterator[str]:
    if build != "???" and (not isinstance(build, Mapping) or "_target_" not in build):
        yield "model.build: expected _target_: package.module.Name"


def _inputs(inputs: Any) -> Iterator[str]:
    if inputs == "???":  # missing, which has been said
        return
    if not isinstance(inputs, Mapping) or not inputs:
        yield f"model.inputs={inputs}: expected a mapping from forward arguments to their sources"
        return
    such = "_target_: modelbench.inputs.Image"
    for key, source in inputs.items():
        if not isinstance(source, Mapping) or "_target_" not in source:
            yield f"model.inputs.{key}: expected a source, such as {such}"


def _targets(path: str, node: Any) -> Iterator[str]:
    """Look for targets that cannot be imported, at any depth."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            error_text = locate.unlocatable(str(node["_target_"]))
            if error_text:
                yield f"{path}._target_={node['_target_']}: {error_text}"
        for key, value in node.items():
            yield from _targets(f"{path}.{key}", value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(f"{path}[{index}]", value)


def _picture(path: str | None) -> Iterator[str]:
    if path is None:
        return
    if not Path(path).is_file():
        yield f"image={path}: no such file"
        return
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture.load()
    except (UnidentifiedImageError, OSError) as error:
        yield f"image={path}: not an image that Pillow can read ({first_line(error)})"
