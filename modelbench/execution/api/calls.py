"""Timing what is not a whole model: a block of code, or two calls against each other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import torch

from modelbench.measurement.timing.pairing import NEGLIGIBLE, Pairs, compare
from modelbench.measurement.timing.statistics import Statistics
from modelbench.system.accelerator import synchronize


def _device(device: str | torch.device | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    found = torch.accelerator.current_accelerator(check_available=True)
    return found or torch.device("cpu")


class Timed(ContextDecorator):
    """A block of code, timed each time it runs; on an accelerator until it is idle."""

    def __init__(self, label: str, device: torch.device) -> None:
        self.label, self._device = label, device
        self.samples_ms: list[float] = []

    def __enter__(self) -> Timed:
        """Start the clock."""
        synchronize(self._device)
        self._start = perf_counter()
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        """Stop it."""
        synchronize(self._device)
        self.samples_ms.append((perf_counter() - self._start) * 1e3)
        return False

    @property
    def statistics(self) -> Statistics:
        """What the samples carry; raises ValueError without any."""
        return Statistics.of(self.samples_ms)

    @property
    def median_ms(self) -> float:
        """The median of all times it ran."""
        return self.statistics.median

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """The median's 95% interval in this process; None of too few samples."""
        return self.statistics.interval

    def __repr__(self) -> str:
        """Return the median with its interval."""
        if not self.samples_ms:
            return f"{self.label}: not run yet"
        found, count = self.statistics, len(self.samples_ms)
        times = "once" if count == 1 else f"median of {count} times"
        ends = found.interval
        within = f", 95% interval {ends[0]:,.4g} to {ends[1]:,.4g} ms" if ends else ""
        return f"{self.label}: {found.median:,.4g} ms ({times}{within})"


def timed(label: str = "block", device: str | torch.device | None = None) -> Timed:
    """Time a block, `with modelbench.timed("load") as found:`, or as a decorator each call."""
    return Timed(label, _device(device))


@dataclass(frozen=True)
class CallComparison:
    """Two calls, timed interleaved."""

    names: tuple[str, str]
    ratio: float
    """Time of the second over that of the first: the median over the blocks."""
    interval: tuple[float, float] | None
    """Its 95% interval."""
    verdict: str
    """Of the second against the first: `faster`, `slower`, `same` or `ambiguous`."""
    first_ms: list[float] = field(repr=False)
    second_ms: list[float] = field(repr=False)

    def __repr__(self) -> str:
        """Return the verdict with its evidence."""
        first, second = (Statistics.of(values).median for values in (self.first_ms, self.second_ms))
        said = {
            "faster": f"{self.names[1]} is faster", "slower": f"{self.names[1]} is slower",
            "same": f"the two take the same time, within {NEGLIGIBLE:.0%}",
            "ambiguous": "too close or too noisy to tell",
        }[self.verdict]  # fmt: skip
        ends = self.interval
        within = f" (95% interval {ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        return (
            f"{said}: {self.names[1]} {second:,.4g} ms, {self.names[0]} {first:,.4g} ms, "
            f"ratio {self.ratio:.3f}{within}"
        )


def compare_calls(
    first: Callable[[], Any],
    second: Callable[[], Any],
    *,
    budget_s: float = 5.0,
    device: str | torch.device | None = None,
) -> CallComparison:
    """Time two callables without arguments against each other, in blocks of A B B A.

    Both see the same states of the machine, so that what is left is the difference of the two;
    in inference mode. The interval is that inside this process.
    """
    found = compare(first, second, Pairs(budget_s=budget_s), _device(device))
    ratio = found.ratio
    names = tuple(getattr(call, "__name__", type(call).__name__) for call in (first, second))
    if names[0] == names[1]:
        names = "first", "second"
    return CallComparison(
        (names[0], names[1]), ratio.median, ratio.interval, ratio.verdict, found.first_ms,
        found.second_ms,
    )  # fmt: skip
