"""Whether a `_target_` can be imported, found out without importing it."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import pkgutil
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any


def trouble(target: str) -> str | None:
    """Say why `target` ('package.module.Name') cannot be imported, or None.

    Modules are found but not run, and a module's names are read from its source. Where names are
    made at run time (a module's own `__getattr__`, a star import, compiled code), the answer is
    None, and the worker finds out.
    """
    parts = target.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return "expected package.module.Name"
    try:
        spec = importlib.util.find_spec(parts[0])
    except (ImportError, ValueError) as error:
        return str(error)
    if spec is None:
        place = "is installed or stands beside the configuration"
        return f"no module {parts[0]!r} {place} (pip install {parts[0]}?)"
    found = 1
    while found < len(parts) and spec.submodule_search_locations is not None:
        name = ".".join(parts[: found + 1])
        below = PathFinder.find_spec(name, list(spec.submodule_search_locations))
        if below is None:
            break
        spec, found = below, found + 1
    if found == len(parts):
        return "this is a module; expected a class or function in it"
    return _lacks(spec, parts, found)


def _lacks(spec: ModuleSpec, parts: list[str], found: int) -> str | None:
    """Say that a module lacks the name that a target goes on with, or None."""
    try:
        names = _names(spec)
    except (SyntaxError, ValueError, OSError) as error:
        return f"{spec.origin} cannot be read: {error}"
    if names is None or parts[found] in names:
        return None
    places = spec.submodule_search_locations or []
    submodules = {module.name for module in pkgutil.iter_modules(places)}
    close = difflib.get_close_matches(parts[found], sorted(names | submodules), n=1)
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
    return any(origin.is_relative_to(place) for place in [*places, Path(__file__).parent])


def _names(spec: ModuleSpec) -> set[str] | None:
    """Give the names that a module's source defines, or None where running it decides."""
    if spec.origin is None or not spec.origin.endswith(".py"):
        return set() if spec.origin is None else None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in _top_level(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Name | ast.Attribute) and _makes_names(node):
            return None
    return None if names & {"__getattr__", "*"} else names


def _makes_names(node: ast.Name | ast.Attribute) -> bool:
    """Tell whether a module reaches for what can give it names that its source does not show."""
    word = node.id if isinstance(node, ast.Name) else node.attr
    return word in {"globals", "vars", "setattr", "exec", "modules"}


def _top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk what runs when the module is imported: not the bodies of functions and classes."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
