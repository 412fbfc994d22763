"""Precision schemes as their YAMLs have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from modelbench.config.sections import suggest

STAGE = "quantization"
"""The stage that compares several; its `schemes` are names of `precision` options."""


def resolve(plain: dict[str, Any], folders: Sequence[Path], found: list[str]) -> None:
    """Put what is named in the place of names; adds to `found` what is not there.

    The chosen precision's own scheme may name others, and so may those that a stage compares, which
    then stand under `schemes`.
    """
    precision = plain["precision"]
    precision["scheme"] = _whole("precision.scheme", precision["scheme"], folders, found)
    stage = plain["test"].get(STAGE, {})
    if "_target_" in stage:
        path = f"test.{STAGE}.schemes"
        plain["schemes"] = _named(path, stage.get("schemes", []), folders, found)


def _named(
    path: str, names: Sequence[str], folders: Sequence[Path], found: list[str]
) -> dict[str, Any]:
    schemes = {}
    for name in names:
        files = [folder / "precision" / f"{name}.yaml" for folder in reversed(folders)]
        file = next((each for each in files if each.is_file()), None)
        if file is None:
            there = {f.stem for folder in folders for f in (folder / "precision").glob("*.yaml")}
            found.append(f"{path}: unknown precision {name}{suggest(name, there)}")
            continue
        node = _read(file, file.stat().st_mtime_ns)
        schemes[name] = _whole(f"precision {name}: scheme", node.get("scheme"), folders, found)
    return schemes


@cache
def _read(file: Path, _: int) -> dict[str, Any]:
    """Read a file once, unless it changes: a sweep's jobs compare the same schemes."""
    node: Any = OmegaConf.to_container(OmegaConf.load(file))
    return cast(dict[str, Any], node)


def _whole(path: str, node: Any, folders: Sequence[Path], found: list[str]) -> Any:
    """Return a scheme whose `of` holds the schemes themselves."""
    if isinstance(node, Mapping) and isinstance(node.get("of"), list):
        return {**node, "of": _named(f"{path}.of", node["of"], folders, found)}
    return node
