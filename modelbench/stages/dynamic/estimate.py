"""A model at other sizes, on shapes alone: what works, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.counting import without_memory
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.isolated import Send
from modelbench.measurement.memory.live import inference_peak, own_tensors, size_of
from modelbench.models.workload import Workload
from modelbench.precision.convert import convert
from modelbench.results.attempts import past, trouble
from modelbench.stages.dynamic.constraints import Needs
from modelbench.stages.dynamic.resized import Resized
from modelbench.stages.dynamic.search import FAR, border, find_needs

Sizes = Mapping[str, int]

LARGER = (2, 4, 8)
"""Times the usual size at which growth is looked at."""
SEVERAL = 3
"""Samples of which one is held against the others."""


@dataclass(frozen=True)
class Foreseen:
    """One size on shapes alone."""

    axis: str
    size: int
    error: str | None = None
    peak: int = 0
    """Bytes, weights included."""
    macs: int = 0


class _Ghost:
    """The model without memory."""

    def __init__(self, workload: Workload) -> None:
        self._workload, self._shipped = workload, convert(workload)
        self.model, self._mode = without_memory(self._shipped.model)
        self._input = Resized(workload)

    def run(self, sizes: Sizes, act: Callable[[Batch], Any]) -> Any:
        """Act on input of these sizes."""
        with self._mode, torch.no_grad(), torch.compiler.set_stance("force_eager"):
            return act(self._shipped.batch(self._input.batch(sizes)))

    def works(self, axis: str, size: int) -> bool:
        """Tell whether the model takes a size."""
        act = partial(self.run, {axis: size}, lambda batch: batch.call(self.model))
        return size > 0 and trouble(act) is None

    def largest(self, axis: str, needs: Needs, most: float, late: Callable[[], bool]) -> Foreseen:
        """Find the largest size whose call takes at most so many bytes.

        Where not even the least does, that one is given.
        """
        usual, step = self._workload.axes[axis], needs.step or 1

        def fits(size: int) -> bool:
            found = self.foresee(axis, size)
            return found.error is None and found.peak <= most

        low = high = usual
        if not fits(usual):
            if not fits(needs.least):
                return self.foresee(axis, needs.least)
            low = needs.least
        while fits(high) and not late() and high < FAR * usual:
            low, high = high, high + max(step, high // step * step)
        if not fits(high):
            high, _ = border(fits, low, high, step, late)
        return self.foresee(axis, high)

    def foresee(self, axis: str, size: int) -> Foreseen:
        """Count what a size takes."""

        def count(batch: Batch) -> None:
            call = partial(batch.call, self.model)
            found.append(inference_peak(self.model, call, batch.named().values()))
            found.append(count_macs(self.model, call).total)

        found: list[int] = []
        error = trouble(partial(self.run, {axis: size}, count))
        return Foreseen(axis, size, error) if error else Foreseen(axis, size, None, *found)


@dataclass(frozen=True)
class Axis:
    """What is foreseen of an axis."""

    name: str
    needs: Needs
    sizes: Sequence[Foreseen]
    """Those wanted."""
    larger: Sequence[Foreseen]
    """Some more, at which growth shows what it is."""
    further: Mapping[int, Foreseen]
    """Those at which it is seen what the axis needs."""
    largest: Foreseen
    """The largest within the memory."""


def foresee(
    workload: Workload,
    wanted: Mapping[str, Sequence[int]],
    most: float,
    budget_s: float,
    send: Send,
) -> None:
    """Send the bytes of the weights, then an Axis for each: all on shapes alone.

    `most` are the bytes that a call may take.

    Raises what the model raises at its usual sizes.
    """
    ghost = _Ghost(workload)
    ghost.run({}, lambda batch: batch.call(ghost.model))
    send(size_of(own_tensors(ghost.model)))
    for axis, sizes in wanted.items():
        usual, late = workload.axes[axis], partial(past, perf_counter() + budget_s)
        far = max(FAR * usual, *sizes)
        needs = find_needs(partial(ghost.works, axis), usual, late, far)
        found = [ghost.foresee(axis, size) for size in sizes]
        grown = [ghost.foresee(axis, factor * usual) for factor in LARGER]
        late = partial(past, perf_counter() + budget_s)
        step, limit = needs.step or 1, workload.limits.get(axis, {}).get("max") or usual
        seen = {needs.least, usual, usual + step, limit, limit + step, max(SEVERAL, usual)}
        further = {size: ghost.foresee(axis, size) for size in seen | {needs.greatest or usual}}
        send(Axis(axis, needs, found, grown, further, ghost.largest(axis, needs, most, late)))
