"""A model at other sizes, on shapes alone: what works, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.counting import fake_copy
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.isolated import Send
from modelbench.measurement.memory.live import inference_peak, own_tensors, size_of
from modelbench.models.workload import Workload
from modelbench.precision.convert import convert
from modelbench.results.attempts import error_of, past
from modelbench.stages.dynamic.constraints import SizeConstraints
from modelbench.stages.dynamic.resized import Resized
from modelbench.stages.dynamic.search import FAR, border, find_constraints

Sizes = Mapping[str, int]

LARGER = (2, 4, 8)
"""Times the usual size at which growth is looked at."""
SEVERAL = 3
"""Samples of which one is held against the others."""


@dataclass(frozen=True)
class Estimate:
    """One size on shapes alone."""

    axis: str
    size: int
    error: str | None = None
    peak: int = 0
    """Bytes, weights included."""
    macs: int = 0


class _FakeModel:
    """The model without memory."""

    def __init__(self, workload: Workload) -> None:
        self._workload, self._converted = workload, convert(workload)
        self.model, self._mode = fake_copy(self._converted.model)
        self._input = Resized(workload)

    def run(self, sizes: Sizes, act: Callable[[Batch], Any]) -> Any:
        """Act on input of these sizes."""
        with self._mode, torch.no_grad(), torch.compiler.set_stance("force_eager"):
            return act(self._converted.batch(self._input.batch(sizes)))

    def works(self, axis: str, size: int) -> bool:
        """Return whether the model takes a size."""
        act = partial(self.run, {axis: size}, lambda batch: batch.call(self.model))
        return size > 0 and error_of(act) is None

    def largest(
        self, axis: str, constraints: SizeConstraints, most: float, late: Callable[[], bool]
    ) -> Estimate:
        """Find the largest size whose call takes at most so many bytes.

        Where not even the least does, that one is given.
        """
        usual, step = self._workload.axes[axis], constraints.step or 1

        def fits(size: int) -> bool:
            found = self.estimate(axis, size)
            return found.error is None and found.peak <= most

        low = high = usual
        if not fits(usual):
            if not fits(constraints.least):
                return self.estimate(axis, constraints.least)
            low = constraints.least
        while fits(high) and not late() and high < FAR * usual:
            low, high = high, high + max(step, high // step * step)
        if not fits(high):
            high, _ = border(fits, low, high, step, late)
        return self.estimate(axis, high)

    def estimate(self, axis: str, size: int) -> Estimate:
        """Count what a size takes."""

        def count(batch: Batch) -> None:
            call = partial(batch.call, self.model)
            found.append(inference_peak(self.model, call, batch.named().values()))
            found.append(count_macs(self.model, call).total)

        found: list[int] = []
        error = error_of(partial(self.run, {axis: size}, count))
        return Estimate(axis, size, error) if error else Estimate(axis, size, None, *found)


@dataclass(frozen=True)
class Axis:
    """What is estimated of an axis."""

    name: str
    constraints: SizeConstraints
    sizes: Sequence[Estimate]
    """Those wanted."""
    larger: Sequence[Estimate]
    """Some more, at which growth shows what it is."""
    further: Mapping[int, Estimate]
    """Those that show the size constraints of the axis."""
    largest: Estimate
    """The largest within the memory."""


def estimate(
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
    fake = _FakeModel(workload)
    fake.run({}, lambda batch: batch.call(fake.model))
    send(size_of(own_tensors(fake.model)))
    for axis, sizes in wanted.items():
        usual, late = workload.axes[axis], partial(past, perf_counter() + budget_s)
        far = max(FAR * usual, *sizes)
        constraints = find_constraints(partial(fake.works, axis), usual, late, far)
        found = [fake.estimate(axis, size) for size in sizes]
        grown = [fake.estimate(axis, factor * usual) for factor in LARGER]
        late = partial(past, perf_counter() + budget_s)
        step, limit = constraints.step or 1, workload.limits.get(axis, {}).get("max") or usual
        seen = {constraints.least, usual, usual + step, limit, limit + step, max(SEVERAL, usual)}
        further = {
            size: fake.estimate(axis, size) for size in seen | {constraints.greatest or usual}
        }
        send(
            Axis(
                axis,
                constraints,
                found,
                grown,
                further,
                fake.largest(axis, constraints, most, late),
            )
        )
