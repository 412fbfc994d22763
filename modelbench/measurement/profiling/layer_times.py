"""How long each module takes of a call, so that all of them add up to the call as it really is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from modelbench.measurement.profiling.calls import Calls, Floats, Spans
from modelbench.measurement.profiling.cost import Cost, now
from modelbench.measurement.profiling.work import by_module
from modelbench.measurement.timing.statistics import Statistics
from modelbench.measurement.timing.timing import Sample, no_collection, sampler
from modelbench.system.accelerator import event

NOTICED = 0.003
"""Share of a call that watching it takes from which on that is measured in the call itself."""
LEAST_TRIES, MOST_TRIES = 20, 200
SHORT_MS = 20.0
"""Milliseconds of a call to which what the caches hold makes a difference."""
LONGEST = 3.0
"""What the blocks that are asked for may take, in times of the budget."""
EVENT_MS = 0.002
"""What events in an accelerator's stream resolve, and a little more."""


@dataclass(frozen=True)
class Rule:
    """How often a phase is called: in blocks of plain, watched, watched, plain."""

    budget_s: float = 3.0
    min_blocks: int = 3
    max_blocks: int = 100
    warmup_s: float = 0.3


@dataclass(frozen=True)
class Time:
    """Milliseconds of one call of the phase, with the 95% interval of the median."""

    ms: float
    interval: tuple[float, float] | None


@dataclass
class LayerTimes:
    """The passes of one phase. Rows are passes; columns are modules by number."""

    paths: list[str]
    kinds: list[str]
    plain_ms: list[float] = field(default_factory=list)
    """Of the call as it is, nothing watched; two in a block."""
    overheads: list[float] = field(default_factory=list)
    """By how much of the plain call each watched one took longer."""
    own: list[Floats] = field(default_factory=list)
    """Each module's own share of the plain call, in each pass."""
    total: list[Floats] = field(default_factory=list)
    """The same with what is within."""
    outside: list[float] = field(default_factory=list)
    """What passed outside of all modules."""
    calls: list[Floats] = field(default_factory=list)
    spans: Spans | None = None
    """Of one pass like most; seconds."""
    resolution_ms: float = 0.0
    replaced: list[str] = field(default_factory=list)
    """Modules that came while it ran."""

    @property
    def median_ms(self) -> float:
        """The time of the plain call."""
        return median(self.plain_ms)

    @property
    def overhead(self) -> float:
        """What watching adds, relative to the plain call."""
        return median(self.overheads)

    def own_time(self, numbers: list[int]) -> Time:
        """Return the own time of some modules together."""
        return self._time([float(own[numbers].sum()) for own in self.own])

    def total_ms(self, number: int) -> float:
        """Return the time of a module with what is within."""
        return self._time([float(total[number]) for total in self.total]).ms

    def outside_time(self) -> Time:
        """Return what passed outside of all modules."""
        return self._time(self.outside)

    def called(self, number: int) -> float:
        """Return how often a module was called; where that varies, on average."""
        counts = [float(calls[number]) for calls in self.calls]
        return sum(counts) / len(counts)

    def varied(self) -> bool:
        """Return whether calls differed from pass to pass."""
        return any(not np.array_equal(self.calls[0], each) for each in self.calls)

    def _time(self, shares: list[float]) -> Time:
        found, whole = Statistics.of(shares), self.median_ms
        if self.varied():  # medians of what runs in some passes would not add up
            return Time(sum(shares) / len(shares) * whole, None)
        ends = found.interval
        return Time(found.median * whole, ends and (ends[0] * whole, ends[1] * whole))


def time_layers(
    model: nn.Module, call: Callable[[], Any], device: torch.device, rule: Rule
) -> LayerTimes:
    """Time the modules that a call runs, interleaved with the call as it is.

    On accelerators by events in the stream, gaps between launches included. Raises what the model
    raises.
    """
    cost = Cost.measured()
    on_cpu = device.type == "cpu"
    calls = Calls(model, now if on_cpu else lambda: _mark(device))
    names = calls.names
    found = LayerTimes(list(names), [type(module).__name__ for module in names.values()])
    found.resolution_ms = cost.resolution_ms if on_cpu else EVENT_MS
    sample = sampler(call, device)
    with torch.inference_mode(), no_collection():
        warm_ms = _warm_up(sample, rule)
        if warm_ms >= rule.budget_s * 1e3:  # too long to be made more often
            with calls:
                blocks = [(warm_ms, [(_ms(sample), calls.take())], warm_ms)]
        else:
            blocks = list(_blocks(sample, calls, rule))
            if on_cpu:
                cost = _cost_here(cost, sample, calls, blocks, rule)
    kept: list[tuple[float, Spans]] = []
    for first, passes, last in blocks:
        found.plain_ms += [first, last]
        for watched, events in passes:
            spans = calls.spans_of(events, list if on_cpu else _read)
            _add(found, spans, watched, (first + last) / 2, cost if on_cpu else Cost(0.0, 0.0))
            kept = [_middle([*kept, (watched, spans)])]
    found.spans = kept[0][1]
    found.replaced = calls.replaced()
    return found


_Block = tuple[float, list[tuple[float, list[tuple[int, Any]]]], float]
"""A plain sample, watched ones with what was noted in them, and a plain one."""


def _block(sample: Sample, calls: Calls) -> _Block:
    """Take samples plain, watched, watched, plain; nothing is computed between them.

    A short call is made once more before them, and where the functions are put and taken away:
    that leaves other data in the caches.
    """
    first = _ms(sample)
    short = first < SHORT_MS
    before = _ms(sample) if short else first
    passes = []
    with calls:
        if short:
            sample()
        for _ in range(2):
            calls.take()
            watched = _ms(sample)
            passes.append((watched, calls.take()))
    if short:
        sample()
    return before, passes, _ms(sample)


def time_plain(
    model: nn.Module, call: Callable[[], Any], device: torch.device, rule: Rule
) -> LayerTimes:
    """Time the call alone, where modules cannot be watched: of a compiled model."""
    found = LayerTimes([""], [type(model).__name__])
    sample = sampler(call, device)
    with torch.inference_mode(), no_collection():
        _warm_up(sample, rule)
        spent = 0.0
        while len(found.plain_ms) < rule.max_blocks:
            if len(found.plain_ms) >= rule.min_blocks and spent >= rule.budget_s * 1e3 / 2:
                break
            found.plain_ms.append(_ms(sample))
            spent += found.plain_ms[-1]
    return found


def _blocks(sample: Sample, calls: Calls, rule: Rule) -> Iterator[_Block]:
    spent = 0.0
    for block in range(rule.max_blocks):
        least = rule.min_blocks if spent < LONGEST * rule.budget_s else 1
        if block >= least and spent >= rule.budget_s:
            return
        began = perf_counter()
        yield _block(sample, calls)
        spent += perf_counter() - began


def _cost_here(cost: Cost, sample: Sample, calls: Calls, blocks: list[_Block], rule: Rule) -> Cost:
    """Return what watching costs in this call, where its modules are many for its time."""
    plain, passes, _ = blocks[0]
    spans = len(passes[0][1]) // 2
    if spans * (cost.inside + cost.outside) < NOTICED * plain:
        return cost
    least = LEAST_TRIES if plain < SHORT_MS else 2
    more: list[float] = []
    began = perf_counter()
    while len(more) < MOST_TRIES:
        if len(more) >= least and perf_counter() - began >= rule.budget_s / 6:
            break
        with calls:
            sample()
            once = _ms(sample)
        with calls, calls.again():
            sample()
            more.append(_ms(sample) - once)
    return cost.here(median(more), spans)


def _warm_up(sample: Sample, rule: Rule) -> float:
    """Call until it is warm; return the milliseconds of the last call."""
    last = spent = _ms(sample)
    if spent >= rule.warmup_s * 1e3:  # the first of all may have read weights from the disk
        last = _ms(sample)
    while spent < rule.warmup_s * 1e3:
        last = _ms(sample)
        spent += last
    return last


def _ms(sample: Sample) -> float:
    """Take a sample: by the device's own clock where it has one."""
    whole, stream = sample()
    return whole if stream is None else stream


def _middle(kept: list[tuple[float, Spans]]) -> tuple[float, Spans]:
    return sorted(kept, key=lambda each: each[0])[(len(kept) - 1) // 2]


def _add(found: LayerTimes, spans: Spans, watched: float, plain: float, cost: Cost) -> None:
    """Add a pass, in shares of the plain calls about it."""
    count = len(found.paths)
    children = np.zeros(len(spans.module))
    inner = spans.parent >= 0
    np.add.at(children, spans.parent[inner], 1)
    own: Floats = spans.own() * 1e3 - cost.inside - children * cost.outside
    taken: Floats = spans.taken * 1e3
    roots = float(taken[~inner].sum())
    found.own.append(by_module(own, spans.module, count) / plain)
    whole = own.copy()
    for at in range(len(whole) - 1, -1, -1):  # what is within comes later
        if spans.parent[at] >= 0:
            whole[spans.parent[at]] += whole[at]
    found.total.append(by_module(whole * spans.outermost(), spans.module, count) / plain)
    found.outside.append((watched - roots - cost.outside * int((~inner).sum())) / plain)
    found.calls.append(by_module(np.asarray(1.0 - spans.resumed), spans.module, count))
    found.overheads.append(watched / plain - 1)


def _mark(device: torch.device) -> Any:
    passed = event(device)
    passed.record()
    return passed


def _read(marks: list[Any]) -> list[float]:
    """Return when each event was passed, in seconds since the first; all have been."""
    return [marks[0].elapsed_time(mark) / 1e3 for mark in marks]
