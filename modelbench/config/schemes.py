"""Precision schemes and runtimes that a stage names, as their YAMLs have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from modelbench.config.sections import suggest

NAMED = {
    ("quantization", "schemes"): ("precision", "schemes"),
    ("recommend", "precisions"): ("precision", "schemes"),
    ("runtimes", "runtimes"): ("runtime", "runtimes"),
    ("recommend", "runtimes"): ("runtime", "runtimes"),
}
"""Settings of stages that name options -> the options' group, and where their content is put."""
CONTENT = {"precision": "scheme", "runtime": "engine"}


def resolve(plain: dict[str, Any], folders: Sequence[Path], found: list[str]) -> None:
    """Put what is named in the place of names; adds to `found` what is not there.

    The chosen precision's own scheme may name others, and so may those that a stage compares, which
    then stand under `schemes`; runtimes under `runtimes`.
    """
    precision = plain["precision"]
    precision["scheme"] = _whole("precision.scheme", precision["scheme"], folders, found)
    for (name, key), (group, place) in NAMED.items():
        stage = plain["test"].get(name, {})
        if "_target_" in stage:
            named = _named(f"test.{name}.{key}", stage.get(key, []), group, folders, found)
            plain[place] = {**plain.get(place, {}), **named}


def _named(
    path: str, names: Sequence[str], group: str, folders: Sequence[Path], found: list[str]
) -> dict[str, Any]:
    content = {}
    for name in names:
        files = [folder / group / f"{name}.yaml" for folder in reversed(folders)]
        file = next((each for each in files if each.is_file()), None)
        if file is None:
            there = {f.stem for folder in folders for f in (folder / group).glob("*.yaml")}
            found.append(f"{path}: unknown {group} {name}{suggest(name, there)}")
            continue
        node, key = _read(file, file.stat().st_mtime_ns), CONTENT[group]
        content[name] = _whole(f"{group} {name}: {key}", node.get(key), folders, found)
    return content


@cache
def _read(file: Path, _: int) -> dict[str, Any]:
    """Read a file once, unless it changes: a sweep's jobs compare the same schemes."""
    node: Any = OmegaConf.to_container(OmegaConf.load(file))
    return cast(dict[str, Any], node)


def _whole(path: str, node: Any, folders: Sequence[Path], found: list[str]) -> Any:
    """Return a scheme whose `of` holds the schemes themselves."""
    if isinstance(node, Mapping) and isinstance(node.get("of"), list):
        return {**node, "of": _named(f"{path}.of", node["of"], "precision", folders, found)}
    return node
