"""One section of the configuration against its dataclass, and the words for what does not fit."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import importlib
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelbench.config import locate
from modelbench.config.targets import unimportable

WANTED = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    dict: "a mapping",
    list: "a list",
}


def section(
    path: str,
    kind: type,
    values: Mapping[Any, Any],
    found: list[str],
    recipes: Sequence[str] = (),
) -> dict[str, Any]:
    """Hold one section against its dataclass and add what does not fit to `found`.

    Returns the section as its types have it: whole, with defaults, '64' as 64 where that is meant.
    The keys `recipes` may hold anything, are most of a model, and are taken as they are.
    """
    key = (path, kind, repr(values))
    if key not in _HELD:
        said: list[str] = []
        plain = _section(path, kind, values, said, recipes)
        if said:  # a folder that is not there may be there the next time
            found += said
            return plain
        _HELD[key] = plain
    return copy.deepcopy(_HELD[key])


_MARKED = {"?", "$"}
"""Characters that may mean something to OmegaConf."""
_HELD: dict[tuple[str, type, str], dict[str, Any]] = {}
"""The jobs of a sweep have most sections in common."""


def _section(
    path: str,
    kind: type,
    values: Mapping[Any, Any],
    found: list[str],
    recipes: Sequence[str],
) -> dict[str, Any]:
    node = OmegaConf.structured(kind)
    OmegaConf.set_readonly(node, False)
    fields = {field.name for field in dataclasses.fields(kind)}
    hints = {n: hint for n, hint in typing.get_type_hints(kind).items() if n in fields}
    before = len(found)
    free = {
        key: value
        for key, value in values.items()
        if key in recipes and isinstance(value, Mapping) and not _MARKED & set(str(value))
    }
    values = {**values, **dict.fromkeys(free)}
    try:
        whole = OmegaConf.merge(node, dict(values)) if _finite(values) else None
    except OmegaConfBaseException:
        whole = None  # some key does not fit: which ones, each by itself tells
    node = node if whole is None else whole
    for key, value in values.items() if whole is None else ():
        if key not in hints:
            found.append(f"{path}{key}: unknown key{suggest(key, hints)}")
            continue
        said = f"{path}{key}={value}: found {in_words(value)}, expected {wanted(hints[key])}"
        if isinstance(value, float) and not math.isfinite(value):
            found.append(said)
            continue
        try:
            node = OmegaConf.merge(node, {key: value})
        except OmegaConfBaseException as error:
            inner = error.full_key and error.full_key != key
            found.append(f"{path}{error.full_key}: {first_line(error)}" if inner else said)
    found += [
        f"{path}{key}: missing; expected {wanted(hints[key])}"
        for key in sorted(OmegaConf.missing_keys(node))
        if values.get(key, "???") == "???"
    ]
    if len(found) == before:
        try:
            OmegaConf.to_object(node)  # runs the checks in __post_init__
        except (ValueError, OmegaConfBaseException) as error:
            found.append(f"{path}{first_line(error)}")
    plain: Any = OmegaConf.to_container(node)
    return {**plain, **free}


def _finite(values: Mapping[Any, Any]) -> bool:
    return all(math.isfinite(v) for v in values.values() if isinstance(v, float))


def targeted(path: str, values: Mapping[str, Any], found: list[str]) -> dict[str, Any]:
    """Do the same with a section whose own `_target_` names its dataclass."""
    target = values.get("_target_")
    if target is None:
        return dict(values)
    kind: Any = None
    error_text = locate.unlocatable(str(target))
    if error_text is None:
        module, _, name = target.rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as error:  # the user's own module may raise anything
            error_text = unimportable(target, error)
        else:
            if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
                error_text = "expected a dataclass whose fields are the keys"
    if error_text is not None:
        found.append(f"{path}_target_={target}: {error_text}")
        return dict(values)
    rest = {key: value for key, value in values.items() if key != "_target_"}
    return {"_target_": target, **section(path, kind, rest, found)}


def suggest(word: str, known: Iterable[str]) -> str:
    """End a message about an unknown word: what is meant, most likely, and what there is."""
    names = sorted(map(str, known))
    close = difflib.get_close_matches(str(word), names, n=1)
    return (f"; did you mean {close[0]}?" if close else "") + f" (known: {', '.join(names)})"


def wanted(hint: Any) -> str:
    """Return in words what a type hint accepts."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return " or ".join(map(wanted, parts)) + " or null"
    hint = typing.get_origin(hint) or hint
    return WANTED.get(hint, "a value" if hint is Any else getattr(hint, "__name__", str(hint)))


def in_words(value: Any) -> str:
    """Return what was found."""
    if value is None:
        return "null"
    kind = {int: "the integer", float: "the number", str: "the string", bool: "the boolean"}
    return f"{kind[type(value)]} {value!r}" if type(value) in kind else WANTED[type(value)]


def same_kind(before: Any, after: Any) -> bool:
    """Return whether one value may stand where the other stood; a whole number is a number."""
    if "${" in f"{before}{after}":  # what an interpolation stands for is not known here
        return True
    if isinstance(before, float) and not isinstance(after, bool):
        return isinstance(after, int | float)
    return type(before) is type(after)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception, with the next one where it announces that."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
