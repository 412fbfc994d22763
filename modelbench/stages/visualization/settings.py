"""What the model looks like: its architecture as it really runs, and the graph of autograd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbench.results import Report
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


@dataclass(frozen=True)
class Visualization(Stage):
    """Draws the architecture and the autograd graph, on shapes alone where that can be done."""

    needs_values = False

    timeout_s: float = 300.0
    depth: int | None = None
    """Levels of modules that are opened; None for as many as stay readable."""
    nodes: int = 60
    """Drawn at most."""
    autograd: bool = True
    """Draw the autograd graph as well."""
    layout_s: float = 20.0
    """Seconds that Graphviz may take for one picture."""
    autograd_layout_s: float = 5.0
    """The same for the autograd graph: most take two, and what is dense takes minutes."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        positive("layout_s", self.layout_s)
        positive("autograd_layout_s", self.autograd_layout_s)
        if self.nodes < 10:
            raise ValueError(f"nodes={self.nodes}: expected 10 or more")
        if self.depth is not None and self.depth < 1:
            raise ValueError(f"depth={self.depth}: expected 1 or more, or null")

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Write the pictures below `graph/`; raises Skip where no module was seen to run."""
        from modelbench.measurement.graph.picture import Limits
        from modelbench.stages.visualization.gallery import Gallery

        gallery = Gallery(workload, context)
        gallery.architecture(Limits(self.nodes, self.depth, self.layout_s))
        if self.autograd:
            gallery.autograd(min(self.layout_s, self.autograd_layout_s))
        return gallery.report
