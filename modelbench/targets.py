"""Targets against the arguments that a configuration gives them; the model's code is imported."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_object


def misfits(path: str, node: Any, *, partial: bool = False) -> list[str]:
    """Import every `_target_` below `node` and hold its arguments against its signature.

    Nothing is called. Gives one line for each target that does not fit. With `partial`, the
    outermost targets are called with further arguments later, as phases and losses are.
    """
    found: list[str] = []
    children: Mapping[Any, Any] = {}
    if isinstance(node, Mapping):
        children = node
        if "_target_" in node:
            found += _misfit(path, node, partial or bool(node.get("_partial_")))
            partial = False
    elif isinstance(node, list):
        children = dict(enumerate(node))
    for key, value in children.items():
        found += misfits(f"{path}.{key}", value, partial=partial)
    return found


def _misfit(path: str, node: Mapping[Any, Any], partial: bool) -> list[str]:
    target = node["_target_"]
    try:
        function = get_object(target)
    except (Exception, SystemExit) as error:  # an import runs any code, which may raise anything
        cause = error.__cause__ or error
        return [f"{path}._target_={target}: cannot be imported: {type(cause).__name__}: {cause}"]
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
