"""What the processes of one benchmark share: the plan, and the samples of each phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelbench.results import Report

if TYPE_CHECKING:
    from modelbench.measurement.compute.roofline import Place
    from modelbench.measurement.timing.timing import Rule, Timing
    from modelbench.stages.benchmark.growth import Grown

USUAL = 5
"""Processes, where a fork server starts them in no time."""
SPAWNED = 3
"""Processes, where each has to import torch."""
LOADING = 2.0
"""Times the budget that loading the model in further processes may take."""


@dataclass(frozen=True)
class Plan:
    """How phases are sampled."""

    rule: Rule
    processes: int
    asked_for: bool
    """Whether a person has set the number of processes."""
    cold: bool
    """Whether the last-level cache is filled with something else before each sample."""
    control: bool
    """Whether fixed calculations are timed beside."""
    throughput_s: float
    """Seconds of samples at each size of the throughput."""

    def affordable(self, load_s: float, *, compiles: bool) -> tuple[Plan, str | None]:
        """Return the plan with as many processes as are worth their while, and why with fewer."""
        if self.asked_for or self.processes == 1:
            return self, None
        if compiles:
            why = "each process would compile the model again"
            return replace(self, processes=1), f"timed in one process, since {why}{MORE}"
        count = min(self.processes, 1 + int(LOADING * self.rule.budget_s / max(load_s, 1e-9)))
        if count == self.processes:
            return self, None
        why = f"loading the model takes {load_s:.1f} s"
        several = "one process" if count == 1 else f"{count} processes"
        return replace(self, processes=count), f"timed in {several}, since {why}{MORE}"


MORE = " (test.benchmark.processes)"


@dataclass
class Sampled:
    """The samples of one phase."""

    timings: list[Timing] = field(default_factory=list)
    """One of each process, in their order."""
    audits: list[list[str]] = field(default_factory=list)
    """What disturbed each."""
    others: list[float] = field(default_factory=list)
    """Cores that other processes used while each sampled."""
    place: Place | None = None
    """Where the first process's median lies on the roofline."""
    operations: int = 0
    """How many a call consists of, as far as they were counted."""


@dataclass
class Earlier:
    """What the processes so far have found."""

    report: Report
    """What does not follow from the samples."""
    identity: Mapping[str, Any]
    """What determines the times, apart from the phase."""
    phases: dict[str, Sampled] = field(default_factory=dict)
    grown: list[Grown] = field(default_factory=list)
