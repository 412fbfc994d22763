"""Whether a `_target_` can be imported, found out without importing it."""

from __future__ import annotations

import difflib
import importlib.util
import pkgutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from modelbench.config.names import Names, names


def trouble(target: str) -> str | None:
    """Say why `target` ('package.module.Name') cannot be imported, or None.

    Modules are found but not run, and a module's names are read from its source. Where running it
    decides (compiled code, a module's own `__getattr__`, a name that hides a submodule), the
    answer is None, and the worker finds out.
    """
    parts = target.split(".")
    if len(parts) < 2 or not all(parts):
        return "expected package.module.Name"
    try:
        spec = importlib.util.find_spec(parts[0])
    except (ImportError, ValueError) as error:
        return None if parts[0] in sys.modules else str(error)
    if spec is not None:
        return _below(spec, parts)
    if not parts[0].isidentifier():
        return "expected package.module.Name"
    place = "is installed or stands beside the configuration"
    return f"no module {parts[0]!r} {place} (pip install {parts[0]}?)"


def _below(spec: ModuleSpec, parts: list[str]) -> str | None:
    """Follow a target from its first module on."""
    for found in range(1, len(parts)):
        try:
            told = _may_have(spec, parts[found])
        except (SyntaxError, ValueError) as error:
            return f"{spec.origin} cannot be read: {error}"
        if told is None:
            return None
        below = _submodule(spec, parts[found])
        if below is None:
            return _lacks(spec, parts, found, told)
        spec = below
    return "this is a module; expected a class or function in it"


def _may_have(spec: ModuleSpec, name: str) -> set[str] | None:
    """Give all names of a module that has not this one, submodules apart.

    None where it has the name, or may have it.
    """
    found: set[str] = set()
    waiting, seen = [spec], {spec.name}
    while waiting:
        module = waiting.pop()
        told = _names(module)
        if told is None or told.dynamic:
            return None
        found |= told.bound | {word for _, _, word in told.imported if word != name}
        if any(not _is_submodule(module, spec, *o) for o in told.imported if o[2] == name):
            return None
        if module is not spec:  # a star gives the submodules that `__all__` names, too
            found |= _submodules(module)
        for word, level in told.stars:
            starred = _find(_absolute(module, word, level))
            if starred is None:
                return None
            if starred.name not in seen:
                waiting.append(starred)
                seen.add(starred.name)
    every_module_has = name.startswith("__") and name.endswith("__")
    return None if every_module_has or name in found else found


def _names(spec: ModuleSpec) -> Names | None:
    """Read a module's names, or give None where there is no source; folders alone have none."""
    if spec.loader is None:
        return Names()
    read = getattr(spec.loader, "get_data", None)
    if read is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        return names(importlib.util.decode_source(read(spec.origin)))
    except OSError:
        return None


def _is_submodule(
    module: ModuleSpec, package: ModuleSpec, word: str, level: int, name: str
) -> bool:
    """Tell whether `from . import name` in `module` gives the submodule of `package`."""
    return _absolute(module, word, level) == package.name and name in _submodules(package)


def _absolute(module: ModuleSpec, word: str, level: int) -> str:
    """Give the whole name of what `from .word import` means in a module."""
    if not level:
        return word
    package = module.name if module.submodule_search_locations is not None else module.parent
    try:
        return importlib.util.resolve_name("." * level + word, package or "").rstrip(".")
    except ImportError:  # beyond the top
        return ""


def _find(name: str) -> ModuleSpec | None:
    """Find a module by its whole name, and run none of those around it."""
    first, *others = name.split(".")
    try:
        spec = importlib.util.find_spec(first) if first else None
    except (ImportError, ValueError):
        return None
    for part in others:
        spec = _submodule(spec, part) if spec is not None else None
    return spec


def _submodule(spec: ModuleSpec, name: str) -> ModuleSpec | None:
    """Find a submodule as Python would, by every finder: editable installs have their own."""
    whole, places = f"{spec.name}.{name}", _places(spec)
    for finder in sys.meta_path if places else []:
        look = getattr(finder, "find_spec", None)
        # Python's own finder wants the packages around a folder without __init__.py imported
        on_path = finder is PathFinder
        below = _on_path(whole, places) if on_path else look(whole, places) if look else None
        if below is not None:
            return below
    return None


def _on_path(name: str, places: Sequence[str]) -> ModuleSpec | None:
    """Find a module in folders and zips; one without code is all of its folders."""
    folders: list[str] = []
    for place in places:
        finder: Any = pkgutil.get_importer(place)
        spec: ModuleSpec | None = finder.find_spec(name) if finder else None
        if spec is not None and spec.loader is not None:
            return spec
        folders += (spec.submodule_search_locations or []) if spec is not None else []
    whole = ModuleSpec(name, None, is_package=True)
    whole.submodule_search_locations = folders
    return whole if folders else None


def _submodules(spec: ModuleSpec) -> set[str]:
    return {module.name for module in pkgutil.iter_modules(_places(spec))}


def _places(spec: ModuleSpec) -> Sequence[str]:
    return list(spec.submodule_search_locations or [])


def _lacks(spec: ModuleSpec, parts: list[str], found: int, told: set[str]) -> str:
    """Say that a module lacks the name that a target goes on with."""
    known = sorted(told | _submodules(spec))
    close = difflib.get_close_matches(parts[found], known, n=1)
    hint = f"; did you mean {'.'.join([*parts[:found], *close])}?" if close else ""
    return f"{spec.name} has no {parts[found]!r}{hint}"


def installed_targets(node: Any) -> list[str]:
    """Give the `_target_`s at any depth of a recipe that belong to installed packages.

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
