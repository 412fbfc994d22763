"""How the rate of work grows with the size of a call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch

from modelbench.measurement.memory.meter import Meter, free
from modelbench.measurement.timing.timing import Rule, time_call
from modelbench.results import Skip
from modelbench.results.attempts import in_one_line

log = logging.getLogger(__name__)

NEAR = 0.9
"""Share of the greatest rate that counts as having arrived there."""


@dataclass(frozen=True)
class Point:
    """One size, and the samples that each process took of its call."""

    size: int
    repeated: int
    """Times that a call works on so many items."""
    processes: list[list[float]]
    """In milliseconds."""

    @property
    def p50_ms(self) -> float:
        """The median over processes of a call's median time."""
        return median(map(median, self.processes))

    @property
    def rate(self) -> float:
        """Items worked on in a second."""
        return self.size * self.repeated / self.p50_ms * 1e3


@dataclass(frozen=True)
class Growth:
    """Points at growing sizes, and why there are no more."""

    points: list[Point]
    ended: str | None
    failed: str | None = None
    """The size whose call raised something else than the want of memory, and what that was."""

    @property
    def saturation(self) -> Point | None:
        """The least size that comes within a tenth of the greatest rate; beyond, only waiting."""
        greatest = max((point.rate for point in self.points), default=0.0)
        return next((p for p in self.points if p.rate >= NEAR * greatest), None)


def grow(
    call_at: Callable[[int], Callable[[], Any]],
    sizes: Sequence[int],
    repeated: int,
    rule: Rule,
    device: torch.device,
) -> Growth:
    """Time `call_at(size)` for each size, as long as a call fits the budget and the memory.

    A call of a size works on that many items, `repeated` times. The memory of the next size is
    estimated from what the last one took, so that the machine is never driven out of it.
    """
    points: list[Point] = []
    meter = Meter(device)
    for size in sorted(sizes):
        if points:
            ratio = size / points[-1].size
            ended = _too_much(points[-1], ratio, meter.peak(), rule, device)
            if ended:
                return Growth(points, f"stopped at {points[-1].size}: {ended}")
        try:
            timing = time_call(call_at(size), rule, device)
        except Skip as skip:  # such as a prompt that leaves no room for a token
            if not points:
                raise
            return Growth(points, f"stopped at {points[-1].size}: {skip}")
        except Exception as error:  # the model's code may raise anything
            if _out_of_memory(error):
                return Growth(points, f"out of memory at {size}")
            log.exception("size %s", size)
            return Growth(points, f"fails at {size}", f"{size} fails: {in_one_line(error)}")
        points.append(Point(size, repeated, [timing.samples_ms]))
    return Growth(points, None)


def grow_again(
    found: Growth, call_at: Callable[[int], Callable[[], Any]], rule: Rule, device: torch.device
) -> None:
    """Add this process's samples at each size whose call fits the budget."""
    for point in found.points:
        if point.p50_ms <= rule.budget_s * 1e3:
            point.processes.append(time_call(call_at(point.size), rule, device).samples_ms)


def brief(rule: Rule, seconds: float) -> Rule:
    """Return a rule for one of many points: less narrow, and `seconds` at most."""
    quick = replace(rule, budget_s=seconds, min_samples=5, min_s=0.0, warmup_s=0.0)
    return replace(quick, precision=0.02)


def _out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out; on the CPU torch has no class of its own for it."""
    kinds = torch.OutOfMemoryError, MemoryError
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _too_much(last: Point, ratio: float, held: int, rule: Rule, device: torch.device) -> str | None:
    if last.p50_ms * ratio > rule.budget_s * 1e3:
        return f"the next call would take about {last.p50_ms * ratio / 1e3:.1f} s"
    wanted, there = held * ratio, free(device)
    if wanted > there / 2:
        return f"the next would take about {wanted / 2**30:.1f} GiB of {there / 2**30:.1f} GiB free"
    return None
