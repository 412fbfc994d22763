"""What every part of the dynamic stage has at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelbench.measurement.memory.meter import free
from modelbench.results import Report
from modelbench.stages.dynamic.trials import Outcome, Task, outcomes

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.stages.stage import Context

MIB = 2**20
HALF = 0.5
"""Of the free memory, that nothing here may take."""


@dataclass
class Session:
    """One model, what its calls may cost, and what was found."""

    workload: Workload
    context: Context
    point_s: float
    """Seconds of samples at each size, of all processes together."""
    processes: int
    """Processes that share them."""
    call_s: float
    """Seconds that a single call may be expected to take."""
    search_s: float
    """Seconds of the search for an axis' size constraints."""
    memory_mib: float
    """Memory that a call may be estimated to take."""
    weights: int = 0
    """Bytes."""
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        """Allow half of the free memory at most."""
        self.most = min(self.memory_mib * MIB, HALF * free(self.context.device))
        """Bytes that a call may take."""

    @property
    def each_s(self) -> float:
        """Seconds of samples that one process takes at each size."""
        return self.point_s / self.processes

    def do(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Do tasks with the model, in a process of its own."""
        return list(outcomes(self.workload, tasks, self.each_s))
