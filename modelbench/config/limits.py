"""The sizes asked for against the axes and limits of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from modelbench.config import schema
from modelbench.config.sections import suggest


def errors(plain: Mapping[str, Any]) -> Iterator[str]:
    """Find sizes, and numbers of the model's own keys, that cannot be, as far as these are sound.

    `plain` is a configuration as its types have it; `model.limits` names axes or own keys.
    """
    model = plain["model"]
    name, axes, limits = model["name"], model["axes"], model["limits"]
    if not isinstance(axes, Mapping):  # missing, which has been said
        return
    for axis in schema.AXES:
        if plain[axis] is not None and axis not in axes:
            yield f"{axis}={plain[axis]}: model {name} has no such axis; it has {', '.join(axes)}"
    own = {
        key: value
        for key, value in model.items()
        if key not in schema.Model.__dataclass_fields__ and type(value) in {int, float}
    }
    for key, value in own.items():
        if not math.isfinite(value):
            yield f"model.{key}={value}: expected a finite number"
    for key in limits.keys() - axes.keys() - own.keys():
        yield f"model.limits.{key}: unknown axis{suggest(key, [*axes, *own])}"
    for axis, size in schema.axes(plain).items():
        yield from _size(name, axis, size, limits.get(axis, {}))
    for key in own.keys() & limits.keys():
        yield from _size(name, f"model.{key}", own[key], limits[key])


def _size(name: str, key: str, size: float, limit: Mapping[str, Any]) -> Iterator[str]:
    step = max(1, limit.get("multiple_of", 1))
    least, most = max(limit.get("min", 1), step), limit.get("max")
    if size < least:
        what = "impossible" if size < 1 else f"too small for {name}"
        yield f"{key}={size}: {what}; the minimum is {least}"
    elif most is not None and size > most:
        yield f"{key}={size}: too large for {name}; the maximum is {most}"
    elif size % step:
        below = size - size % step
        nearest = f"the nearest are {below} and {below + step}"
        yield f"{key}={size}: {name} takes multiples of {step}; {nearest}"
