"""Whether a `_target_` can be found at all, and whether it belongs to an installed package."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def unlocatable(target: str) -> str | None:
    """Return why `target` ('package.module.Name') can be in no package, or return None.

    Nothing is imported: what the package itself holds, the worker finds out.
    """
    parts = target.split(".")
    if len(parts) < 2 or not all(parts):
        return "expected package.module.Name"
    try:
        spec = importlib.util.find_spec(parts[0])
    except (ImportError, ValueError) as error:
        return None if parts[0] in sys.modules else str(error)
    if spec is not None:
        return None
    if not parts[0].isidentifier():
        return "expected package.module.Name"
    place = "is installed or next to the configuration"
    return f"no module {parts[0]!r} {place} (pip install {parts[0]}?)"


def installed_targets(node: Any) -> list[str]:
    """Return the `_target_`s at any depth of a recipe that belong to installed packages.

    Only such code is imported ahead, in the fork server: what a module of the user's own does on
    import (threads, devices, an exit) would reach every worker.
    """
    found: list[str] = []
    if isinstance(node, Mapping):
        if "_target_" in node and _installed(str(node["_target_"])):
            found.append(str(node["_target_"]))
        node = list(node.values())
    if isinstance(node, list):
        found += [target for entry in node for target in installed_targets(entry)]
    return found


def _installed(target: str) -> bool:
    try:
        spec = importlib.util.find_spec(target.partition(".")[0])
    except (ImportError, ValueError):
        return False
    places = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    origin = Path(spec.origin) if spec is not None and spec.origin else Path()
    return any(origin.is_relative_to(place) for place in [*places, Path(__file__).parent.parent])
