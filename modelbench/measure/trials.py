"""A model called at other sizes: on shapes alone, and for real in a process of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.apart import Ended, Send, apart
from modelbench.batch import Batch
from modelbench.measure.consistency import Difference, alone_and_together, common
from modelbench.measure.fidelity import all_finite
from modelbench.measure.flops import count_macs
from modelbench.measure.counting import without_memory
from modelbench.measure.layers import shapes
from modelbench.measure.live import inference_peak, own_tensors, size_of
from modelbench.measure.memory import Meter, give_back
from modelbench.measure.needs import Needs, find_needs, last_that_works
from modelbench.measure.timing import Rule, time_call, wait_for
from modelbench.workload import Workload

Sizes = Mapping[str, int]

LARGER = (2, 4, 8)
"""Times the usual size at which growth is looked at."""
LONGEST = 200
"""Characters of an error message."""
FARTHEST = 64
"""Times the usual size beyond which nothing is looked for."""


@dataclass(frozen=True)
class Foreseen:
    """One size on shapes alone."""

    axis: str
    size: int
    error: str | None = None
    peak: int = 0
    """Bytes, weights included."""
    macs: int = 0


@dataclass(frozen=True)
class Outcome:
    """One size, really run."""

    error: str | None = None
    shape: str = ""
    finite: bool = True
    p50_ms: float = 0.0
    peak: int = 0
    """Bytes, weights included."""


class _Ghost:
    """The model without memory."""

    def __init__(self, workload: Workload) -> None:
        self._workload, self._shipped = workload, workload.ship()
        self.model, self._mode = without_memory(self._shipped.model)

    def run(self, sizes: Sizes, act: Callable[[Batch], Any]) -> Any:
        """Act on input of these sizes."""
        batch = self._shipped.batch(self._workload.batch(**sizes))
        with self._mode, torch.no_grad(), torch.compiler.set_stance("force_eager"):
            return act(batch.map(self._mode.from_tensor))

    def works(self, axis: str, size: int) -> bool:
        """Tell whether the model takes a size."""
        act = partial(self.run, {axis: size}, lambda batch: batch.call(self.model))
        return size > 0 and _trouble(act) is None

    def largest(self, axis: str, needs: Needs, most: float, late: Callable[[], bool]) -> Foreseen:
        """Find the largest size whose call takes at most so many bytes."""
        usual, step = self._workload.axes[axis], needs.step or 1

        def fits(size: int) -> bool:
            found = self.foresee(axis, size)
            return found.error is None and found.peak <= most

        low = high = usual
        while fits(high) and not late() and high < FARTHEST * usual:
            low, high = high, high + max(step, high // step * step)
        if not fits(high):
            high = last_that_works(fits, low, high, step, late)
        return self.foresee(axis, high)

    def foresee(self, axis: str, size: int) -> Foreseen:
        """Count what a size takes."""

        def count(batch: Batch) -> None:
            call = partial(batch.call, self.model)
            found.append(inference_peak(self.model, call, batch.named().values()))
            found.append(count_macs(self.model, call).total)

        found: list[int] = []
        error = _trouble(partial(self.run, {axis: size}, count))
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
        usual, late = workload.axes[axis], partial(_past, perf_counter() + budget_s)
        needs = find_needs(partial(ghost.works, axis), usual, late)
        found = [ghost.foresee(axis, size) for size in sizes]
        grown = [ghost.foresee(axis, factor * usual) for factor in LARGER]
        late = partial(_past, perf_counter() + budget_s)
        send(Axis(axis, needs, found, grown, ghost.largest(axis, needs, most, late)))


class Session:
    """A model that is called at one size after the other."""

    def __init__(self, workload: Workload, point_s: float) -> None:
        give_back()
        self.workload = workload
        workload.batch()
        self._meter = Meter(workload.device)
        self.shipped = workload.ship()
        self._rule = Rule(point_s, min_samples=5, min_s=0.0, warmup_s=0.0, precision=0.02)

    @property
    def model(self) -> nn.Module:
        """The model as shipped."""
        return self.shipped.model

    def batch(self, sizes: Sizes) -> Batch:
        """Make input at these sizes."""
        return self.shipped.batch(self.workload.batch(**sizes))

    def call(self, batch: Batch, *, timed: bool) -> Outcome:
        """Call the model once, and where it is to be timed and quick some times more."""
        self._meter.restart()
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            start = perf_counter()
            outputs = batch.call(self.model)
            wait_for(self.workload.device)
            seconds = perf_counter() - start
            peak = self._meter.peak()
            shape, finite = shapes(outputs), all_finite(outputs)
            del outputs
            median = seconds * 1e3
            if timed and seconds < self._rule.budget_s:
                timing = time_call(partial(batch.call, self.model), self._rule, self.workload.device)
                median = sorted(timing.samples_ms)[len(timing.samples_ms) // 2]
        return Outcome(None, shape, finite, median, peak)


Task = Callable[[Session], Any]
"""One thing to do with a model; pickles where processes are spawned."""


def outcomes(
    workload: Workload, tasks: Sequence[Task], point_s: float
) -> Iterator[Any]:
    """Do the tasks, in one process as long as it lives; one that dies is an Outcome like others."""
    done = 0
    while done < len(tasks):
        try:
            for outcome in apart(partial(_run, workload, tasks[done:], point_s), workload.device):
                done += 1
                yield outcome
        except Ended as end:
            done += 1
            yield Outcome(str(end))


def _run(workload: Workload, tasks: Sequence[Task], point_s: float, send: Send) -> None:
    session = Session(workload, point_s)
    for task in tasks:
        try:
            outcome = task(session)
        except (Exception, SystemExit) as error:  # the model's code may raise anything
            outcome = Outcome(in_one_line(error))
        send(outcome)
        if "CUDA error" in (getattr(outcome, "error", None) or ""):
            return  # nothing works on the device in this process any more


def at_size(session: Session, sizes: Sizes, *, timed: bool = True) -> Outcome:
    """Call it at other sizes."""
    return session.call(session.batch(sizes), timed=timed)


def not_square(session: Session, sizes: Sizes, larger: Sizes) -> Outcome:
    """Call it with the first of two dimensions that grow at the one size, the last at the other."""
    small, large = session.batch(sizes), session.batch(larger)

    def cut(own: Tensor, other: Tensor) -> Tensor:
        grown = [d for d in range(own.ndim) if own.shape[d] != other.shape[d]]
        return other.narrow(grown[-1], 0, own.shape[grown[-1]]) if len(grown) > 1 else own

    return session.call(small.joined(large, cut), timed=False)


def greatest(session: Session, axis: str, low: int, high: int, step: int, budget_s: float) -> int:
    """Find the greatest size that really works."""

    def works(size: int) -> bool:
        return _trouble(partial(at_size, session, {axis: size}, timed=False)) is None

    return last_that_works(works, low, high, step, partial(_past, perf_counter() + budget_s))


def same_alone(session: Session) -> Difference:
    """Compare a sample by itself with the same among others."""
    return alone_and_together(session.model, session.shipped.batch(session.workload.several(3)))


def same_padded(session: Session, shorter: int) -> Difference | None:
    """Compare a text with the same padded behind and masked; None where there is no mask."""
    if "attention_mask" not in inspect.signature(session.model.forward).parameters:
        return None
    usual = session.workload.axes["sequence_length"]
    short, long = session.batch({"sequence_length": shorter}), session.batch({})

    def padded(own: Tensor, other: Tensor) -> Tensor:
        if own.shape == other.shape:
            return own
        return torch.nn.functional.pad(own, (0, usual - shorter))

    batch = short.joined(long, padded)
    mask = torch.ones(len(next(iter(batch.named().values()))), usual, dtype=torch.int64)
    mask[:, shorter:] = 0
    call = partial(session.model, attention_mask=mask.to(session.workload.device))
    with torch.inference_mode():
        return common(short.call(session.model), batch.call(call))


def _past(end: float) -> bool:
    return perf_counter() > end


def _trouble(act: Callable[[], Any]) -> str | None:
    """Do something; give what it raises in one line."""
    try:
        act()
    except Exception as error:  # the model's code may raise anything
        return in_one_line(error)
    return None


def in_one_line(error: BaseException) -> str:
    """Give an exception's type and first line, cut where that is a whole paragraph."""
    line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {line if len(line) <= LONGEST else line[:LONGEST] + '...'}"
