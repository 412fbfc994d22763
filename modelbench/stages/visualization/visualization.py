"""What the model looks like: its architecture as it really runs, and the graph of autograd."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from modelbench.results import Report, Skip
from modelbench.results.attempts import in_one_line
from modelbench.stages.stage import Context, Stage, positive
from modelbench.system.file_name import file_name

if TYPE_CHECKING:
    from torch import nn

    from modelbench.inputs.batch import Batch
    from modelbench.models.workload import Workload
    from modelbench.stages.visualization.graph.trace import Trace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Visualization(Stage):
    """Draws the architecture and the autograd graph, on shapes alone where that can be done."""

    needs_numbers = False

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
        gallery = Gallery(self, workload, context)
        gallery.architecture()
        if self.autograd:
            gallery.autograd()
        return gallery.report


class Gallery:
    """The pictures of one model."""

    def __init__(self, settings: Visualization, workload: Workload, context: Context) -> None:
        from modelbench.stages.visualization.graph.layout import Layout

        self.report, self._settings = Report(), settings
        self._workload, self._context = workload, context
        self._layout = Layout.here()
        self._folder = context.directory / "graph"
        self._folder.mkdir(parents=True, exist_ok=True)

    def architecture(self) -> None:
        """Draw the model and each of its parts."""
        from modelbench.models.fake import without_numbers
        from modelbench.stages.visualization.graph.layout import LayoutError
        from modelbench.stages.visualization.graph.picture import Limits, picture

        settings, report = self._settings, self.report
        limits = Limits(settings.nodes, settings.depth, settings.layout_s)
        self._context.say("following its tensors")
        found = without_numbers(self._workload, _traces)
        for path, (name, trace) in found.items():
            if not trace.edges:
                raise Skip(f"{name} ran no module that its input went through: nothing to draw")
            self._context.say(f"drawing {name}")
            try:
                drawn = picture(trace, name, self._layout, limits)
            except LayoutError as error:
                report.warnings.append(f"{name} is not drawn: {error}")
                continue
            for ending, content in drawn.files.items():
                self._write(f"model_graph_{file_name(name)}.{ending}", content)
            within = f"{path}/" if path else ""
            report.metric(f"{within}nodes", drawn.nodes, "count")
            if not drawn.legible:
                report.notes.append(
                    f"{name}: {drawn.nodes} nodes are too many to be read when seen whole; zoom "
                    "into the SVG, or leave test.visualization.depth null"
                )

    def autograd(self) -> None:
        """Draw the graph of the backward pass; its source is written in any case."""
        from modelbench.models.fake import without_numbers
        from modelbench.stages.visualization.graph.autograd import autograd
        from modelbench.stages.visualization.graph.layout import LayoutError

        report = self.report
        self._context.say("following the backward pass")
        try:
            graph = without_numbers(self._workload, partial(autograd, self._workload))
        except Skip as skip:
            report.notes.append(f"no autograd graph: {skip}")
            return
        except Exception as error:  # a loss may raise anything; the stage `algorithm` judges it
            log.exception("the autograd graph")
            report.warnings.append(f"no autograd graph: {in_one_line(error)}")
            return
        name = f"autograd_{file_name(graph.model)}"
        self._write(f"{name}.dot", graph.source.encode())
        report.metric("autograd_nodes", graph.operations, "count")
        self._context.say("drawing the backward pass")
        patience = min(self._settings.layout_s, self._settings.autograd_layout_s)
        try:
            svg = self._layout.draw(graph.source, "svg", patience)
        except LayoutError as error:
            report.notes.append(
                f"the autograd graph of {graph.operations:,} nodes is not drawn: {error} "
                f"(test.visualization.autograd_layout_s); its source is graph/{name}.dot"
            )
            return
        self._write(f"{name}.svg", svg)

    def _write(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)
        self.report.artifacts.append(f"graph/{name}")


def _traces(model: nn.Module, batch: Batch) -> dict[str, tuple[str, Trace]]:
    """Follow the model and each of its parts; names are classes, those of equals with the path."""
    from modelbench.measurement.compute.counting import parts
    from modelbench.measurement.compute.flops import count_macs
    from modelbench.stages.visualization.graph.trace import trace

    found: dict[str, tuple[str, Trace]] = {}
    for path, given in {"": batch, **parts(model, batch)}.items():
        module = model.get_submodule(path)
        name = type(module).__name__
        if name in {known for known, _ in found.values()}:
            name = f"{name}-{path}"
        macs = count_macs(module, partial(given.call, module))
        found[path] = name, trace(module, given, macs.by_module)
    return found
