"""What each module computes, moves, takes and gives in one call of a phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.counting import Prepare, on_phase
from modelbench.measurement.compute.flops import Counter
from modelbench.measurement.compute.layers import shapes
from modelbench.measurement.profiling.calls import Calls, Floats


@dataclass(frozen=True)
class Work:
    """By the path of each module, without what is within it."""

    macs: Mapping[str, int]
    bytes: Mapping[str, int]
    """Read and written by its operations."""
    inputs: Mapping[str, str]
    """Shapes at its first call, as '1x3x224x224'."""
    outputs: Mapping[str, str]
    operations: int
    """Of the whole call."""
    uncounted: tuple[str, ...]
    """Operations without a formula for their MACs."""
    profiled: bool = False
    """Whether the model runs a profiler of its own meanwhile."""

    def within(self, seen: frozenset[str]) -> Work:
        """Return it with what modules compute that are not `seen` given to those around them.

        A layer of nn.Transformer on its fast path calls none of its own.
        """
        macs, moved = dict.fromkeys(seen, 0), dict.fromkeys(seen, 0)
        for given, taken in ((self.macs, macs), (self.bytes, moved)):
            for path, amount in given.items():
                place = around(path, seen)
                if place is not None:
                    taken[place] += amount
        return replace(self, macs=macs, bytes=moved)


def around(path: str, seen: frozenset[str]) -> str | None:
    """Return the path, or that of the innermost module around it, that is among those seen."""
    while path not in seen:
        if not path:
            return None
        path = path.rpartition(".")[0]
    return path


def work_of(prepare: Prepare, model: nn.Module, batch: Batch, *, quick: bool) -> Work | None:
    """Count one call of a phase; None where it cannot be counted. Raises what the model raises."""
    return on_phase(prepare, model, batch, _counted, quick=quick)


def _counted(model: nn.Module, call: Callable[[], Any]) -> Work:
    counter = Counter()
    inputs: dict[int, str] = {}
    outputs: dict[int, str] = {}

    profiled = False

    def look(number: int, args: Any, kwargs: Any, result: Any) -> None:
        nonlocal profiled
        profiled = profiled or profiling()
        if number not in inputs:
            inputs[number], outputs[number] = shapes([args, kwargs]), shapes(result)

    calls = Calls(model, lambda: (counter.macs, counter.bytes), look)
    with counter.counting(model), calls:
        call()
    spans = calls.spans()
    own = by_module(spans.own().reshape(-1, 2), spans.module, len(calls.names))
    paths = list(calls.names)
    named: Callable[[Mapping[int, str]], dict[str, str]] = partial(_named, paths)
    found = counter.found(model)
    return Work(
        {path: int(own[at, 0]) for at, path in enumerate(paths)},
        {path: int(own[at, 1]) for at, path in enumerate(paths)},
        named(inputs), named(outputs), found.operations, tuple(found.uncounted),
        profiled,
    )  # fmt: skip


def profiling() -> bool:
    """Return whether a profiler of torch's is active in this process."""
    enabled: Any = torch._C._autograd._profiler_enabled
    return bool(enabled())


def _named(paths: list[str], told: Mapping[int, str]) -> dict[str, str]:
    return {paths[number]: text for number, text in told.items()}


def by_module(values: Floats, module: Any, count: int) -> Floats:
    """Add up what calls took, `[calls, ...]`, by the numbers of their modules, `[modules, ...]`."""
    found = np.zeros((count, *values.shape[1:]))
    np.add.at(found, module, values)
    return found
