"""What the model holds in memory, in inference and in training: estimated beside measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelbench.measurement.training.optimizer import adamw, checked_optimizer
from modelbench.results import Report
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


@dataclass(frozen=True)
class Memory(Stage):
    """Estimates the memory on shapes alone, then measures it, each in a process of its own."""

    timeout_s: float = 900.0
    optimizer: Any = field(default_factory=adamw)
    """Of the training step, as in the stage `algorithm`."""
    margin: float = 0.9
    """Share of the free memory that a measurement may take."""

    def __post_init__(self) -> None:
        """Check that an optimizer is named as one."""
        super().__post_init__()
        checked_optimizer(self.optimizer)
        positive("margin", self.margin)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the metrics; what does not fit into the memory is estimated only."""
        from modelbench.stages.memory.footprint import Footprint

        footprint = Footprint(workload, context, self.margin)
        footprint.measure(self.optimizer)
        footprint.draw()
        return footprint.report
