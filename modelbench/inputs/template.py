"""Any structure of Python objects with its tensors taken out, and others put in their places."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

PLAIN = (bool, int, float, str, Enum, torch.dtype, torch.device, torch.memory_format)
SYMBOLS: tuple[Any, ...] = (torch.SymInt, torch.SymFloat, torch.SymBool)
"""Numbers that are not known while an exporter traces."""


class _Noting(TorchFunctionMode):
    """Lets a deep copy keep the tensors that it meets, and note them in order, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []

    def __enter__(self) -> _Noting:
        # A cache's length is one while an exporter traces; what it refers to has inputs in it.
        for kind in SYMBOLS:
            kind.__deepcopy__ = lambda symbol, _: symbol
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        for kind in SYMBOLS:
            del kind.__deepcopy__
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        self.tensors.append(tensor)
        memo[id(tensor)] = tensor
        return tensor


class Template:
    """A value whose tensors can be exchanged: arguments with caches, outputs of any class."""

    def __init__(self, value: Any) -> None:
        noting = _Noting()
        with noting:
            self._value = copy.deepcopy(value)
        self.tensors = noting.tensors

    def fill(self, tensors: Sequence[Tensor]) -> Any:
        """Return the structure with other tensors, in the order of its own."""
        if self._value is self.tensors[0] if self.tensors else False:
            return tensors[0]
        memo = {id(old): new for old, new in zip(self.tensors, tensors, strict=True)}
        return copy.deepcopy(self._value, memo)


def signature(value: Any, tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """Return what two calls have in common that one program can serve: types, ranks, constants."""
    kinds = tuple((tensor.dtype, tensor.dim()) for tensor in tensors)
    return (_constants(value), kinds)


def _constants(value: Any) -> Any:
    if isinstance(value, Tensor):
        return "tensor"
    if value is None or isinstance(value, PLAIN):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return tuple((each.name, _constants(getattr(value, each.name))) for each in fields(value))
    if isinstance(value, list | tuple):
        return tuple(map(_constants, value))
    if isinstance(value, dict):
        return tuple((key, _constants(entry)) for key, entry in value.items())
    return type(value).__qualname__
