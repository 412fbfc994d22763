"""Every mistake in a composed configuration, each in one line; nothing heavy is imported."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelbench import config as schema
from modelbench import locate
from modelbench.sections import (
    WANTED,
    first_line,
    in_words,
    same_kind,
    section,
    suggest,
    targeted,
)


def mistakes(config: DictConfig, folders: Sequence[Path]) -> list[str]:
    """Hold a composed configuration against its types, and its sizes against its model.

    `folders` are those with configurations, ours and the user's.
    """
    try:
        plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        return [f"{error.full_key or 'configuration'}: {first_line(error)}"]
    settings = {key: value for key, value in plain.items() if key not in schema.SECTIONS}
    found = list(section("", schema.Settings, settings))
    found += section("device.", schema.Device, plain["device"])
    found += section("precision.", schema.Precision, plain["precision"])
    found += targeted("tracker.", plain["tracker"])
    for name, entry in plain["test"].items():
        found += _stage(name, entry, folders)
    if not schema.stages(plain):
        found.append("test: no stage is chosen")
    model = plain["model"]
    own = _own_keys(config)
    found += section("model.", schema.Model, {k: v for k, v in model.items() if k not in own})
    found += _axes(plain)
    if "_target_" not in (model.get("build") or ()):
        found.append("model.build: expected _target_: package.module.Name")
    found += _inputs(model.get("inputs"))
    found += _targets("model", model)
    found += _picture(plain["image"])
    return found


def changed_types(path: str, before: Any, after: Any) -> Iterator[str]:
    """Name what a command line gave another type than its YAML has, at any depth."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before.keys() & after.keys():
            yield from changed_types(f"{path}.{key}", before[key], after[key])
    elif before is not None and after is not None and not same_kind(before, after):
        like = f"{WANTED.get(type(before), type(before).__name__)} such as {before}"
        yield f"{path}={after}: found {in_words(after)}, expected {like}"


def _stage(name: str, entry: Any, folders: Sequence[Path]) -> Iterator[str]:
    path = f"test.{name}."
    if not isinstance(entry, Mapping):
        yield f"test.{name}={entry}: found {in_words(entry)}, expected the settings of a stage"
        return
    if "_target_" not in entry:  # settings of a stage that is not chosen: its own YAML says more
        for folder in folders:
            file = folder / "test" / f"{name}.yaml"
            if file.is_file():
                shipped: Any = OmegaConf.load(file)
                entry = {**shipped[name], **entry}
                break
        else:
            stages = {file.stem for folder in folders for file in (folder / "test").glob("*.yaml")}
            yield f"test.{name}: unknown stage{suggest(name, stages - {'all'})}"
            return
    yield from targeted(path, entry)


def _own_keys(config: DictConfig) -> set[str]:
    """Give the keys of the model's YAML that are no schema's, but that the YAML refers to."""
    raw = str(OmegaConf.to_container(config.model, resolve=False))
    used = set(re.findall(r"\$\{\.*(?:model\.)?(\w+)", raw))
    return used - set(typing.get_type_hints(schema.Model))


def _axes(plain: Mapping[str, Any]) -> Iterator[str]:
    """Hold the sizes against the axes and limits of the model, as far as these are sound."""
    name, own = plain["model"].get("name"), plain["model"].get("axes")
    limits = plain["model"].get("limits") or {}
    if not isinstance(own, Mapping) or not isinstance(limits, Mapping):
        return
    for axis in schema.AXES:
        if plain[axis] is not None and axis not in own:
            yield f"{axis}={plain[axis]}: model {name} has no such axis; it has {', '.join(own)}"
    for axis in limits.keys() - own.keys():
        yield f"model.limits.{axis}: unknown axis{suggest(axis, own)}"
    for axis, size in schema.axes(plain).items():
        limit = _limit(limits.get(axis, {}))
        if limit is None or type(size) is not int:
            continue  # the section's own check has said so
        least = max(limit.min, limit.multiple_of)
        if size < least:
            what = "impossible" if size < 1 else f"too small for {name}"
            yield f"{axis}={size}: {what}; the least that works is {least}"
        elif limit.max is not None and size > limit.max:
            yield f"{axis}={size}: too large for {name}; the greatest that works is {limit.max}"
        elif size % limit.multiple_of:
            below = size - size % limit.multiple_of
            near = f"the nearest are {below} and {below + limit.multiple_of}"
            yield f"{axis}={size}: {name} takes multiples of {limit.multiple_of}; {near}"


def _limit(values: Any) -> schema.Limit | None:
    try:
        limit = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema.Limit), values))
    except (OmegaConfBaseException, ValueError, TypeError):
        return None
    assert isinstance(limit, schema.Limit)
    return limit


def _inputs(inputs: Any) -> Iterator[str]:
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
            trouble = locate.trouble(str(node["_target_"]))
            if trouble:
                yield f"{path}._target_={node['_target_']}: {trouble}"
        for key, value in node.items():
            yield from _targets(f"{path}.{key}", value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(f"{path}[{index}]", value)


def _picture(path: str | None) -> Iterator[str]:
    if path is None:
        return
    if not Path(path).is_file():
        yield f"image={path}: there is no such file"
        return
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture.load()
    except (UnidentifiedImageError, OSError) as error:
        yield f"image={path}: not a picture that Pillow can read ({first_line(error)})"


def refuse(found: Sequence[str]) -> None:
    """Tell the person what is wrong, one line each."""
    from modelbench.sinks.console import terminal

    out = terminal(errors=True)
    count = "a mistake" if len(found) == 1 else f"{len(found)} mistakes"
    out.print(f"[bold red]modelbench:[/] {count} in the configuration", soft_wrap=True)
    for mistake in found:
        out.print(f"  - {mistake}", markup=False, soft_wrap=True)
