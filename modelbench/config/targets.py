"""Targets against the arguments that a configuration gives them; the model's code is imported."""

from __future__ import annotations

import difflib
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from hydra.utils import get_object


def signature_errors(path: str, node: Any, *, partial: bool = False) -> list[str]:
    """Import every `_target_` below `node` and hold its arguments against its signature.

    Nothing is called. Returns one line for each target that does not fit. With `partial`, the
    outermost targets are called with further arguments later, as phases and losses are.
    """
    found: list[str] = []
    children: Mapping[Any, Any] = {}
    if isinstance(node, Mapping):
        children = node
        if "_target_" in node:
            found += _signature_error(path, node, partial or bool(node.get("_partial_")))
            partial = False
    elif isinstance(node, list):
        children = dict(enumerate(node))
    for key, value in children.items():
        found += signature_errors(f"{path}.{key}", value, partial=partial)
    return found


def _signature_error(path: str, node: Mapping[Any, Any], partial: bool) -> list[str]:
    target = node["_target_"]
    try:
        function = get_object(target)
    except (Exception, SystemExit) as error:  # an import runs any code, which may raise anything
        return [f"{path}._target_={target}: {unimportable(target, error.__cause__ or error)}"]
    if not callable(function):
        kind = type(function).__name__
        what = "a module" if isinstance(function, ModuleType) else f"of type {kind}"
        return [f"{path}._target_={target}: this is {what}; expected a class or function"]
    try:
        # What a decorator wraps may take less than the whole: transformers' configurations do.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return []  # compiled callables have none
    given = {str(key): value for key, value in node.items() if not str(key).startswith("_")}
    bind = signature.bind_partial if partial else signature.bind
    try:
        bind(*node.get("_args_", ()), **given)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "nothing"
        return [f"{path}: {target}: {error}; it takes {takes}"]
    return []


def unimportable(target: str, error: BaseException) -> str:
    """Return in one line what a target lacks, with the nearest name, or what its import raised."""
    if not isinstance(error, AttributeError | ModuleNotFoundError):
        return _raised(error)
    held, parts, depth = sys.modules.get(target.partition(".")[0]), target.split("."), 1
    try:
        while depth < len(parts):
            held, depth = getattr(held, parts[depth]), depth + 1
    except Exception as raised:  # a lazy module imports what is asked for
        place = ".".join(parts[:depth])
        missing = isinstance(error, AttributeError) or error.name == f"{place}.{parts[depth]}"
        if held is None or not missing or not isinstance(raised, AttributeError):
            return _raised(error if isinstance(raised, AttributeError) else raised)
        return _lacks(place, held, parts[depth])
    return _raised(error)


def _lacks(place: str, held: Any, part: str) -> str:
    hidden = sys.modules.get(place)
    if hidden is not None and hidden is not held:
        what = f"{place} is a {type(held).__name__} that shadows the module of that name"
        if getattr(sys.modules.get(place.rpartition(".")[0]), part, None) is not None:
            return f"{what}; {place.rpartition('.')[0]}.{part} can be imported"
        return what
    below = [module.name for module in pkgutil.iter_modules(getattr(held, "__path__", []))]
    close = difflib.get_close_matches(part, [*dir(held), *below], n=1)
    return f"{place} has no {part!r}" + (f"; did you mean {place}.{close[0]}?" if close else "")


def _raised(error: BaseException) -> str:
    return f"cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
