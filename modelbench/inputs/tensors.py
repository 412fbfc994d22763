"""Tensors wherever a model puts them: alone, in tuples, dicts, dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def named_tensors(value: Any) -> dict[str, Tensor]:
    """Return every tensor in a model's output under its path; a lone tensor is '0'."""
    return dict(_walk(value, ()))


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield ".".join(path) or "0", value
    elif isinstance(value, Mapping):  # the outputs of transformers and diffusers are mappings
        for key, child in value.items():
            yield from _walk(child, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from _walk(child, (*path, str(index)))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield from _walk(getattr(value, entry.name), (*path, entry.name))
