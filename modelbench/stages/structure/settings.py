"""What the model is: shapes, parameters, sizes, and exact MACs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbench.results import Report
from modelbench.stages.stage import COUNTING, Context, Stage

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


@dataclass(frozen=True)
class Structure(Stage):
    """Runs the model forward once and counts what it consists of."""

    needs_values = False

    def preloads(self) -> tuple[str, ...]:
        """Leave out what draws."""
        return (COUNTING,)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the metrics of the whole and of each part, and write the layer tables."""
        from modelbench.stages.structure.figures import figures

        return figures(workload, context)
