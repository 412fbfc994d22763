"""One section of the configuration against its dataclass, and the words for what does not fit."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelbench import locate

WANTED = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "a mapping",
    list: "a list",
}


def section(path: str, kind: type, values: Mapping[Any, Any]) -> Iterator[str]:
    """Hold one section against its dataclass."""
    node = OmegaConf.structured(kind)
    OmegaConf.set_readonly(node, False)
    hints = typing.get_type_hints(kind)
    clean = True
    for key, value in values.items():
        if key not in hints:
            yield f"{path}{key}: unknown key{suggest(key, hints)}"
            continue
        try:
            node = OmegaConf.merge(node, {key: value})
        except OmegaConfBaseException:
            clean = False
            expected = wanted(hints[key])
            yield f"{path}{key}={value}: found {in_words(value)}, expected {expected}"
    for key in sorted(OmegaConf.missing_keys(node)):
        if key not in values:
            clean = False
            yield f"{path}{key}: missing; expected {wanted(hints[key])}"
    if clean:
        try:
            OmegaConf.to_object(node)  # runs the checks in __post_init__
        except (ValueError, OmegaConfBaseException) as error:
            yield f"{path}{first_line(error)}"


def targeted(path: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Hold a section against the dataclass that its own `_target_` names."""
    target = values.get("_target_")
    if target is None:
        return
    trouble = locate.trouble(str(target))
    if trouble:
        yield f"{path}_target_={target}: {trouble}"
        return
    module, _, name = target.rpartition(".")
    kind = getattr(importlib.import_module(module), name, None)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        yield f"{path}_target_={target}: expected a dataclass whose fields are the keys"
        return
    rest = {key: value for key, value in values.items() if key != "_target_"}
    yield from section(path, kind, rest)


def suggest(word: str, known: Iterable[str]) -> str:
    """End a message about an unknown word: what is meant, most likely, and what there is."""
    names = sorted(map(str, known))
    close = difflib.get_close_matches(str(word), names, n=1)
    return (f"; did you mean {close[0]}?" if close else "") + f" (known: {', '.join(names)})"


def wanted(hint: Any) -> str:
    """Say in words what a type hint accepts."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return " or ".join(map(wanted, parts)) + " or null"
    hint = typing.get_origin(hint) or hint
    return WANTED.get(hint, "a value" if hint is Any else getattr(hint, "__name__", str(hint)))


def in_words(value: Any) -> str:
    """Say what was found."""
    if value is None:
        return "nothing"
    kind = {int: "the whole number", float: "the number", str: "the text", bool: "the switch"}
    return f"{kind[type(value)]} {value!r}" if type(value) in kind else WANTED[type(value)]


def same_kind(before: Any, after: Any) -> bool:
    """Tell whether one value may stand where the other stood; a whole number is a number."""
    if "${" in f"{before}{after}":  # what an interpolation stands for is not known here
        return True
    if isinstance(before, float) and not isinstance(after, bool):
        return isinstance(after, int | float)
    return type(before) is type(after)


def first_line(error: Exception) -> str:
    """Give the first line of what an exception says."""
    return str(error).partition("\n")[0]
