"""What a model carries from one token to the next, brought back to what it was."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

log = logging.getLogger(__name__)


class Remembered:
    """Arguments that a call changes: caches of keys and values, states of recurrent layers.

    A cache that can be cut back by one token to the very same numbers is cut back. Any other, such
    as one of a sliding window or of a recurrent layer, which forget, is copied anew each time.
    """

    def __init__(self, carried: Mapping[str, Any]) -> None:
        self._now = dict(carried)
        self._used = False
        self._cuts: bool | None = None
        self._spare: dict[str, Any] | None = _copied(self._now)

    @property
    def kind(self) -> str:
        """Name the classes."""
        return ", ".join(type(each).__name__ for each in self._now.values())

    def take(self) -> dict[str, Any]:
        """Return the arguments of one call, as they were at first."""
        if self._used:
            self.rewind()
        self._used = True
        return self._now

    def rewind(self) -> None:
        """Bring them back after a call."""
        if not self._used:
            return
        if self._cuts is None:
            self._cuts = self._cut() and _same(self._now, self._spare)
            if self._cuts:
                self._spare = None
        elif self._cuts:
            self._cut()
        if not self._cuts:
            assert self._spare is not None
            self._now = _copied(self._spare)
        self._used = False

    def _cut(self) -> bool:
        """Take the last token out; tell whether every cache can do that."""
        try:
            for each in self._now.values():
                each.crop(-1)
        except Exception:  # there is no such method, or it has forgotten what it would need
            log.info("the cache cannot be cropped, and is copied", exc_info=True)
            return False
        return True


class _Cloning(TorchFunctionMode):
    """Lets a deep copy clone tensors, which those of inference and of shapes alone can do too."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        return memo.setdefault(id(tensor), tensor.clone())


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    with _Cloning(), torch.inference_mode():
        return copy.deepcopy(state)


def _same(one: Any, other: Any) -> bool:
    """Return whether two objects hold equal tensors and numbers."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return _same(vars(one), vars(other)) if hasattr(one, "__dict__") else bool(one == other)
