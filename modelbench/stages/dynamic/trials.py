"""A model called at other sizes: on shapes alone, and for real in a process of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.layers import shapes
from modelbench.measurement.isolated import Ended, Send, isolated
from modelbench.measurement.memory.meter import Meter, give_back, load_libraries
from modelbench.measurement.numerics.consistency import Difference, alone_and_together, common
from modelbench.measurement.numerics.fidelity import all_finite
from modelbench.measurement.timing.timing import Rule, time_call
from modelbench.models.batches import mixed_batch, sample_dims
from modelbench.models.workload import Workload
from modelbench.results.attempts import error_of, in_one_line, past
from modelbench.runtimes.deploy import deploy
from modelbench.stages.dynamic.constraints import SizeConstraints
from modelbench.stages.dynamic.estimate import SEVERAL
from modelbench.stages.dynamic.rounding import distance
from modelbench.stages.dynamic.search import border, find_constraints
from modelbench.system.accelerator import synchronize

Sizes = Mapping[str, int]
QUICK = 3
"""Budgets that a first call may take for another one to be made and timed."""


@dataclass(frozen=True)
class Outcome:
    """One size, really run."""

    error: str | None = None
    shape: str = ""
    finite: bool = True
    p50_ms: float = 0.0
    peak: int = 0
    """Bytes, weights included."""


class Session:
    """A model that is called at one size after the other."""

    def __init__(self, workload: Workload, point_s: float) -> None:
        give_back()
        self.workload = workload
        workload.batch()
        load_libraries(workload.device)
        self._meter = Meter(workload.device)
        self.converted = deploy(workload)
        self._rule = Rule(point_s, min_samples=5, min_s=0.0, warmup_s=0.0, precision=0.02)

    @property
    def model(self) -> nn.Module:
        """The model as converted."""
        return self.converted.model

    def batch(self, sizes: Sizes) -> Batch:
        """Make input at these sizes."""
        return self.converted.batch(self.workload.batch(**sizes))

    def call(self, batch: Batch, *, timed: bool) -> Outcome:
        """Call the model once, and where it is to be timed and quick some times more."""
        if self.converted.attachment is not None:  # what exporting takes is no inference's
            with torch.inference_mode():
                batch.call(self.model)
        self._meter.restart()
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            start = perf_counter()
            outputs = batch.call(self.model)
            synchronize(self.workload.device)
            seconds = perf_counter() - start
            peak = self._meter.peak()
            shape, finite = shapes(outputs), all_finite(outputs)
            del outputs
            median = seconds * 1e3
            if timed and seconds < QUICK * self._rule.budget_s:
                timing = time_call(
                    partial(batch.call, self.model), self._rule, self.workload.device
                )
                median = sorted(timing.samples_ms)[len(timing.samples_ms) // 2]
        return Outcome(None, shape, finite, median, peak)


Task = Callable[[Session], Any]
"""One thing to do with a model; pickles where processes are spawned."""


def outcomes(workload: Workload, tasks: Sequence[Task], point_s: float) -> Generator[Any]:
    """Do the tasks, in one process as long as it lives; one that dies is an Outcome like others."""
    done = 0
    while done < len(tasks):
        try:
            for outcome in isolated(
                partial(_run, workload, tasks[done:], point_s), workload.device
            ):
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
        if lost(getattr(outcome, "error", None)):
            return


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


def tried_between(
    session: Session, axis: str, between: tuple[int, int], step: int, end_s: float
) -> dict[int, bool]:
    """Halve the distance between a size that really works and one that does not.

    Ends early where the device takes no further call.
    """
    ran = _Ran(session, axis, end_s)
    border(ran.works, *between, step, ran.late)
    return ran.known


def constraints_by_running(session: Session, axis: str, far: int, end_s: float) -> SizeConstraints:
    """Find what the model needs by running it, up to a size."""
    ran = _Ran(session, axis, end_s)
    return find_constraints(ran.works, session.workload.axes[axis], ran.late, far)


class _Ran:
    """Sizes of an axis that are really run, until the time is up or the device is lost."""

    def __init__(self, session: Session, axis: str, end_s: float) -> None:
        self._session, self._axis, self._end = session, axis, perf_counter() + end_s
        self.known: dict[int, bool] = {}
        self._lost = False

    def works(self, size: int) -> bool:
        act = partial(at_size, self._session, {self._axis: size}, timed=False)
        error = error_of(act)
        self._lost = lost(error)
        if error is None or not out_of_memory(error):
            self.known[size] = error is None
        return error is None

    def late(self) -> bool:
        return self._lost or past(self._end)


def lost(error: str | None) -> bool:
    """Return whether nothing works on the device any more in the process that met this."""
    return "CUDA error" in (error or "")


def out_of_memory(error: str) -> bool:
    """Return whether it is the machine that does not take a size, and not the model."""
    words = ("out of memory", "allocate memory", "memoryerror", "not enough memory")
    return any(word in error.lower() for word in words)


def same_alone(session: Session) -> Difference | None:
    """Compare a sample by itself with the same among others; None with nothing to compare."""
    workload = session.workload
    batch = session.converted.batch(mixed_batch(workload, SEVERAL))
    places = sample_dims(workload)
    return alone_and_together(session.model, batch, places, distance(session.converted))


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
    grown = {n: t for n, t in batch.named().items() if t.shape != short.named()[n].shape}
    texts = [t for n, t in grown.items() if t.dtype == torch.int64 and "decoder" not in n]
    if not texts:
        return None  # what the mask would cover is not what grows
    mask = torch.ones_like(texts[0])
    mask[..., shorter - usual :] = 0  # of an image's placeholders before the text, none
    call = partial(session.model, attention_mask=mask.to(session.workload.device))
    with torch.inference_mode():
        eps = distance(session.converted)
        return common(short.call(session.model), batch.call(call), eps)
