"""Fixed calculations, timed beside a model: how fast the machine is now.

A host changes its speed over seconds and hours: its clock, its neighbours, which cores share a
cache. The time of a calculation that is always the same changes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, Literal

import torch

from modelbench.measurement.timing.cold import last_level_bytes
from modelbench.system.accelerator import synchronize

Kind = Literal["compute", "memory", "launch"]

KINDS: tuple[Kind, ...] = ("compute", "memory", "launch")

FOLLOWED: Mapping[str, Kind] = {"compute": "compute", "bandwidth": "memory", "overhead": "launch"}
"""The control that a call follows, by what bounds it on the roofline."""

EVERY_S, SHARE = 0.5, 0.05
"""A round is due after so long, and where it costs no more than this share of the time."""
REPEATED: Mapping[Kind, int] = {"compute": 3, "memory": 1, "launch": 3}
"""Times that each calculation is timed in a round; their median counts."""
WARMUP_S = 0.02
SIDE, PRODUCTS = 224, 16
"""Matrices so small that what cores exchange matters as it does in networks. Of products from 160
to 640, a U-Net, GPT-2 and a ViT followed these best between two states of a host."""
SIDE_ON_ACCELERATOR = 4096
SMALL, LAUNCHES = 40_000, 100
"""Values that two threads share (torch splits from 32,768 on) and that stay in their caches: what
is timed is the start and the end of parallel work."""
SLOW_MS = 50.0
"""Milliseconds of a calculation that is not made again: beside a busy neighbour, it takes long."""
LAST_SHARE = 0.2
LARGE_BYTES = 2**26
"""More than what most last-level caches give to two cores."""


@dataclass
class Rounds:
    """Milliseconds of each calculation, and when that was: seconds after the first call."""

    at_s: list[float] = field(default_factory=list)
    compute: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    launch: list[float] = field(default_factory=list)

    def of(self, kind: Kind) -> list[float]:
        """Return the times of one calculation."""
        found: list[float] = getattr(self, kind)
        return found


class Control:
    """The calculations of one device, with torch's present threads."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._calls: Mapping[Kind, Callable[[], Any]] = {}
        self._rounds, self._start, self._last, self._cost = Rounds(), 0.0, 0.0, 0.0

    def _made(self) -> Mapping[Kind, Callable[[], Any]]:
        """Make what they work on; an accelerator gets larger matrices."""
        device = self._device
        side, products = (SIDE, PRODUCTS) if device.type == "cpu" else (SIDE_ON_ACCELERATOR, 1)
        left, right, out = (torch.ones(side, side, device=device) for _ in range(3))
        count = LARGE_BYTES // 4 if device.type == "cpu" else 2 * last_level_bytes(device) // 4
        large, small = (torch.zeros(n, device=device) for n in (count, SMALL))

        def compute() -> None:
            for _ in range(products):
                torch.mm(left, right, out=out)

        def launch() -> None:
            for _ in range(LAUNCHES):
                small.add_(1)

        return {"compute": compute, "memory": partial(large.add_, 1), "launch": launch}

    def restart(self, start: float) -> Rounds:
        """Take a first round; times count from `start`, a time of perf_counter."""
        if not self._calls:  # not before the model's first call, which is to find nothing ready
            self._calls = self._made()
            for call in self._calls.values():  # threads have to be started, and memory to be had
                self._warm(call)
        self._rounds, self._start = Rounds(), start
        self.round()
        return self._rounds

    def due(self, call_s: float) -> bool:
        """Return whether it is time for a round, after which a call of that length is lost."""
        wait = max(EVERY_S, (self._cost + call_s) / SHARE)
        return perf_counter() - self._last > wait

    def last(self) -> None:
        """Take a last round, unless it would cost too much of the time that has passed."""
        if self._cost <= LAST_SHARE * (perf_counter() - self._start):
            self.round()

    def round(self) -> None:
        """Time each calculation, after one call that is not recorded."""
        begin = perf_counter()
        self._rounds.at_s.append(begin - self._start)
        for kind, call in self._calls.items():
            milliseconds = self._once(call)
            if milliseconds < SLOW_MS:
                milliseconds = median(self._once(call) for _ in range(REPEATED[kind]))
            self._rounds.of(kind).append(milliseconds)
        self._last = perf_counter()
        self._cost = self._last - begin

    def _warm(self, call: Callable[[], Any]) -> None:
        begin = perf_counter()
        with torch.inference_mode():
            while perf_counter() - begin < WARMUP_S:
                self._once(call)

    def _once(self, call: Callable[[], Any]) -> float:
        synchronize(self._device)
        start = perf_counter()
        call()
        synchronize(self._device)
        return (perf_counter() - start) * 1e3
