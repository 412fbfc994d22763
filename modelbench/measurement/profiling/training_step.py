"""Where the time of a training step goes: its parts, its layers forward and backward, memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from modelbench.inputs.batch import Batch
from modelbench.measurement.profiling.recorder import How, record
from modelbench.measurement.profiling.recording import RANGE, Recording, Slice
from modelbench.measurement.timing.statistics import Statistics
from modelbench.measurement.training.training import Trainer, loss_of
from modelbench.models.workload import Workload
from modelbench.system.accelerator import synchronize

PARTS = ("data", "forward", "loss", "backward", "optimizer")
ENGINE = "autograd::engine::evaluate_function: "
"""How the profiler calls what the backward pass does for one operator of the forward pass."""
ELSEWHERE = "(no module)"
"""Where the gradient of what no module computed is, such as the loss."""
Mark = Callable[[str], None]


@dataclass
class StepTimes:
    """Steps, interleaved: as they are, and with a clock between the parts. Milliseconds."""

    plain_ms: list[float] = field(default_factory=list)
    parts_ms: dict[str, list[float]] = field(default_factory=lambda: {p: [] for p in PARTS})

    @property
    def accounted(self) -> float:
        """The share of a plain step that the parts add up to."""
        return median(
            sum(self.parts_ms[part][at] for part in PARTS) / plain
            for at, plain in enumerate(self.plain_ms)
        )

    def part(self, name: str) -> Statistics:
        """Return the time of one part."""
        return Statistics.of(self.parts_ms[name])


class Step:
    """One step of training as anybody writes it: none of modelbench's checks within."""

    def __init__(
        self, workload: Workload, trainer: Trainer, dtype: torch.dtype, made: Callable[[], Batch]
    ) -> None:
        self._workload, self._trainer, self._dtype, self._made = workload, trainer, dtype, made

    def __call__(self, mark: Mark = lambda _: None) -> None:
        """Take it; `mark` hears of each part that has ended."""
        trainer, device = self._trainer, self._workload.device
        batch = self._made()
        mark("data")
        trainer.optimizer.zero_grad(set_to_none=True)
        low = self._dtype is not torch.float32
        with torch.autocast(device.type, self._dtype, enabled=low):
            outputs = batch.call(trainer.model)
        mark("forward")
        loss: Tensor = loss_of(self._workload, outputs, batch)
        mark("loss")
        loss.backward()  # type: ignore[no-untyped-call]
        mark("backward")
        trainer.optimizer.step()
        mark("optimizer")


def time_steps(step: Step, device: torch.device, budget_s: float, most: int = 50) -> StepTimes:
    """Take steps until the budget is spent, three of each kind at least."""
    found = StepTimes()

    def plain() -> None:
        synchronize(device)
        start = perf_counter()
        step()
        synchronize(device)
        found.plain_ms.append((perf_counter() - start) * 1e3)

    def marked() -> None:
        synchronize(device)
        last = perf_counter()

        def mark(name: str) -> None:
            nonlocal last
            synchronize(device)
            now = perf_counter()
            found.parts_ms[name].append((now - last) * 1e3)
            last = now

        step(mark)

    step()
    began = perf_counter()
    while len(found.plain_ms) < most:
        if len(found.plain_ms) >= 3 and perf_counter() - began >= budget_s:
            break
        for act in (plain, marked) if len(found.plain_ms) % 2 else (marked, plain):
            act()
    return found


@dataclass(frozen=True)
class StepRecording:
    """One step, operator by operator; microseconds."""

    recording: Recording
    forward: Mapping[str, float]
    """By the path of each module, without what is within it."""
    backward: Mapping[str, float]
    """What the backward pass spent for what the module itself computed."""
    memory: list[tuple[float, int, str]]
    """When, how many bytes were allocated, and the module that ran."""
    parts: Mapping[str, tuple[float, float]]
    """When each part began and ended."""


def record_step(step: Step, model: nn.Module, device: torch.device, file: Path) -> StepRecording:
    """Record one step, after one that is not."""
    ranges: dict[str, Any] = {}

    def act() -> None:
        ranges["open"] = record_function("modelbench: data")
        ranges["open"].__enter__()

        def mark(name: str) -> None:
            ranges["open"].__exit__(None, None, None)
            following = PARTS[PARTS.index(name) + 1 :]
            if following:
                ranges["open"] = record_function(f"modelbench: {following[0]}")
                ranges["open"].__enter__()

        step(mark)

    found = record(model, act, device, file, How("training_step", memory=True))
    return _by_layer(found)


def _by_layer(found: Recording) -> StepRecording:
    forward: dict[str, float] = defaultdict(float)
    backward: dict[str, float] = defaultdict(float)
    owners: dict[int | None, str] = {}
    """The number of an operator in the forward pass -> the module that it ran in."""
    for each in found.of_call():
        sequence = each.args.get("Sequence number")
        if each.name.startswith(ENGINE):
            if not found.on_device:
                backward[owners.get(sequence, ELSEWHERE)] += each.taken
            continue
        if _within(each, ENGINE):
            if found.on_device:
                engine = _engine(each)
                backward[owners.get(engine, ELSEWHERE)] += each.on_device
            continue
        path = found.module_of(each)
        inside = _in_module(found, each)
        if sequence is not None and inside:
            owners[sequence] = path
        if inside:
            forward[path] += found.spent(each) if each.category != RANGE else 0.0
        if each.category == RANGE and each.name in found.modules and not found.on_device:
            forward[found.modules[each.name]] += each.own
    parts = {
        each.name.removeprefix("modelbench: "): (
            each.start - found.whole.start, each.start - found.whole.start + each.taken
        )
        for each in found.of_call() if each.name.startswith("modelbench: ")
    }  # fmt: skip
    return StepRecording(found, dict(forward), dict(backward), _memory(found), parts)


def _within(each: Slice, name: str) -> bool:
    around = each.around
    while around is not None:
        if around.name.startswith(name):
            return True
        around = around.around
    return False


def _engine(each: Slice) -> int | None:
    around: Slice | None = each
    while around is not None and not around.name.startswith(ENGINE):
        around = around.around
    return None if around is None else around.args.get("Sequence number")


def _in_module(found: Recording, each: Slice) -> bool:
    around = each.around
    while around is not None:
        if around.category == RANGE and around.name in found.modules:
            return True
        around = around.around
    return False


def _memory(found: Recording) -> list[tuple[float, int, str]]:
    """Return what was allocated over time, with the innermost module at each moment."""
    spans = sorted(
        (each for each in found.of_call() if each.category == RANGE and each.name in found.modules),
        key=lambda each: each.start,
    )
    points = [(at, size) for at, size in found.memory if 0 <= at <= found.whole.taken]
    told, stack, at_span = [], list[Slice](), 0
    for at, size in points:
        now = at + found.whole.start
        while at_span < len(spans) and spans[at_span].start <= now:
            stack.append(spans[at_span])
            at_span += 1
        stack = [each for each in stack if each.start + each.taken > now]
        told.append((at, size, found.modules[stack[-1].name] if stack else ELSEWHERE))
    return told
