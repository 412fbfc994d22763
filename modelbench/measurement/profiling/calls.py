"""Which module runs when: every call of a module's forward, with what a clock reads around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from threading import get_ident
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from modelbench.measurement.compute.flops import compiles_itself

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

Look = Callable[[int, Any, Any, Any], None]
"""Sees a call that has ended: the module's number, its arguments and what it returned."""


@dataclass(frozen=True)
class Spans:
    """The calls of one pass, in the order in which they began."""

    module: Ints
    """The number of each one's module."""
    parent: Ints
    """The call around each; -1 for none."""
    resumed: Ints
    """1 for what continues a call: of a generator, the time until it yields again."""
    start: Floats
    """What the clock read, `[calls]` or `[calls, figures]`."""
    stop: Floats

    @property
    def taken(self) -> Floats:
        """What each call took, with those within it."""
        return self.stop - self.start

    def own(self) -> Floats:
        """Return what each call took without those within it."""
        taken = self.taken
        own = taken.copy()
        inner = self.parent >= 0
        np.subtract.at(own, self.parent[inner], taken[inner])
        return own

    def outermost(self) -> Floats:
        """Return 1 for calls within no other one of the same module, which is not called twice."""
        outer = np.ones(len(self.module))
        around: list[frozenset[int]] = []
        for call, (module, parent) in enumerate(
            zip(self.module.tolist(), self.parent.tolist(), strict=True)
        ):
            above = around[parent] if parent >= 0 else frozenset[int]()
            outer[call] = module not in above
            around.append(above if module in above else above | {module})
        return outer


Placed = tuple[nn.Module, Callable[..., Any] | None]
"""A module, and what stands as its own `forward` in the place of its class's."""


def put(functions: Sequence[Placed]) -> list[Placed]:
    """Put functions in the places of modules' `forward`; return what was there."""
    before = [(module, module.__dict__.get("forward")) for module, _ in functions]
    for module, function in functions:
        if function is None:
            module.__dict__.pop("forward", None)
        else:
            module.__dict__["forward"] = function
    return before


def unwatched(modules: Iterable[nn.Module]) -> set[nn.Module]:
    """Return modules in whose forward nothing may be put.

    What is within a part that is compiled would be traced with it; replicas of a DataParallel on
    several devices would call the first one's.
    """
    found: set[nn.Module] = set()
    for module in modules:
        if compiles_itself(module):
            whole = type(module).__name__ == "OptimizedModule"  # a module around, in plain Python
            found.update(each for each in module.modules() if each is not module or not whole)
        elif isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            found.update(module.module.modules())
    return found


class Calls:
    """Watches the modules of a model while it is entered; may be entered again.

    A function in the place of each one's `forward`, no hook: hooks take longer, let
    layers of nn.Transformer leave their fast path, and miss a `layer.forward(x)`. Scripted modules
    alone, which take no such function, are watched by hooks. What other threads call is left out.
    """

    def __init__(self, model: nn.Module, read: Callable[[], Any], look: Look | None = None) -> None:
        """Get ready to note what `read` returns before and after each call."""
        self.names = dict(model.named_modules())
        self._model, self._read, self._look = model, read, look
        self._events: list[tuple[int, Any]] = []
        modules = list(self.names.values())
        self._scripts: dict[nn.Module, int] = {
            m: i for i, m in enumerate(modules) if isinstance(m, torch.jit.ScriptModule)
        }
        inner = {i for script in self._scripts for i in script.modules() if i is not script}
        self._scripts = {m: i for m, i in self._scripts.items() if m not in inner}
        left_out = unwatched(modules)
        self._places = [
            (number, module) for number, module in enumerate(modules)
            if not isinstance(module, torch.jit.ScriptModule) and module not in left_out
        ]  # fmt: skip
        self._watched: list[Placed] = [
            (module, self._watching(number, module.forward, self._events))
            for number, module in self._places
        ]
        self._before: list[Placed] = []
        self._hooks: list[Any] = []
        self._owner = 0

    def __enter__(self) -> Calls:
        """Put the functions in their places."""
        self._events.clear()
        self._owner = get_ident()
        self._before = put(self._watched)
        if self._scripts:
            self._hooks = [
                register_module_forward_pre_hook(self._enter),
                register_module_forward_hook(self._leave, always_call=True),
            ]
        return self

    def __exit__(self, *_: object) -> None:
        """Put back what was there."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        put(self._before)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Watch every call once more while it is entered: twice the cost, and no more spans."""
        spare: list[tuple[int, Any]] = []
        doubled: list[Placed] = [
            (module, self._watching(number, module.forward, spare))
            for number, module in self._places
        ]
        before = put(doubled)
        try:
            yield
        finally:
            put(before)

    def replaced(self) -> list[str]:
        """Name modules that the model has now and had not before: these are not watched."""
        known = set(map(id, self.names.values()))
        return [path for path, module in self._model.named_modules() if id(module) not in known]

    def take(self) -> list[tuple[int, Any]]:
        """Return what was noted since it was entered, or since this was last asked."""
        events = list(self._events)
        self._events.clear()
        return events

    def spans(self, value: Callable[[list[Any]], Any] = list) -> Spans:
        """Return the calls since it was entered; `value` turns what was read into numbers."""
        return self.spans_of(self.take(), value)

    def spans_of(
        self, events: Sequence[tuple[int, Any]], value: Callable[[list[Any]], Any] = list
    ) -> Spans:
        """Return the calls among some events."""
        count = len(self.names)
        module: list[int] = []
        parent: list[int] = []
        resumed: list[int] = []
        places: list[list[int]] = []
        stack: list[int] = []
        for at, (number, _) in enumerate(events):
            if number < 0:
                places[stack.pop()][1] = at
                continue
            again, which = divmod(number, count)
            module.append(which)
            resumed.append(again)
            parent.append(stack[-1] if stack else -1)
            stack.append(len(places))
            places.append([at, at])
        read = np.asarray(value([reading for _, reading in events]), dtype=np.float64)
        ends = np.asarray(places, dtype=np.int64).reshape(-1, 2)
        if not places:
            read = read.reshape(0)
        return Spans(
            np.asarray(module, np.int64), np.asarray(parent, np.int64),
            np.asarray(resumed, np.int64), read[ends[:, 0]], read[ends[:, 1]],
        )  # fmt: skip

    def _watching(
        self, number: int, forward: Callable[..., Any], events: list[tuple[int, Any]]
    ) -> Callable[..., Any]:
        add, read, look = events.append, self._read, self._look

        def watched(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != self._owner:
                return forward(*args, **kwargs)
            add((number, read()))
            try:
                result = forward(*args, **kwargs)
            finally:
                add((-1, read()))
            if look is not None:
                look(number, args, kwargs, result)
            if inspect.isgenerator(result):
                return self._resuming(number + len(self.names), result)
            return result

        return update_wrapper(watched, forward)

    def _resuming(self, number: int, made: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a generator, whose time is taken when it is asked for its next value."""
        given = None
        while True:
            self._events.append((number, self._read()))
            try:
                value = made.send(given)
            except StopIteration as end:
                return end.value
            finally:
                self._events.append((-1, self._read()))
            given = yield value

    def _enter(self, module: nn.Module, _: Any) -> None:
        number = self._scripts.get(module)
        if number is not None and get_ident() == self._owner:
            self._events.append((number, self._read()))

    def _leave(self, module: nn.Module, args: Any, result: Any) -> None:
        number = self._scripts.get(module)
        if number is not None and get_ident() == self._owner:
            self._events.append((-1, self._read()))
            if self._look is not None:
                self._look(number, args, {}, result)
