"""The pictures of one model."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.counting import parts
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.graph.autograd import autograd
from modelbench.measurement.graph.layout import Layout, LayoutError
from modelbench.measurement.graph.picture import Limits, picture
from modelbench.measurement.graph.trace import Costs, Trace, trace
from modelbench.models.fake import fake_if_possible
from modelbench.results import Report, Skip
from modelbench.results.attempts import in_one_line
from modelbench.stages.stage import Context
from modelbench.system.file_name import file_name

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

log = logging.getLogger(__name__)


class Gallery:
    """The pictures of one model."""

    def __init__(self, workload: Workload, context: Context) -> None:
        self.report = Report()
        self._workload, self._context = workload, context
        self._layout = Layout.here()
        self._folder = context.directory / "graph"
        self._folder.mkdir(parents=True, exist_ok=True)

    def architecture(self, limits: Limits) -> None:
        """Draw the model and each of its parts."""
        report = self.report
        self._context.say("tracing tensors")
        found = fake_if_possible(self._workload, _traces)
        for path, (name, followed) in found.items():
            if not followed.edges:
                raise Skip(f"{name} passed its input through no module: nothing to draw")
            self._context.say(f"drawing {name}")
            try:
                drawn = picture(followed, name, self._layout, limits)
            except LayoutError as error:
                report.warnings.append(f"{name} is not drawn: {error}")
                continue
            for ending, content in drawn.files.items():
                self._write(f"model_graph_{file_name(name)}.{ending}", content)
            within = f"{path}/" if path else ""
            report.metric(f"{within}nodes", drawn.nodes, "count")
            if not drawn.legible:
                report.notes.append(
                    f"{name}: {drawn.nodes} nodes are too many to read at full view; zoom "
                    "into the SVG, or leave test.visualization.depth null"
                )

    def autograd(self, layout_s: float) -> None:
        """Draw the graph of the backward pass; its source is written in any case."""
        report = self.report
        self._context.say("tracing the backward pass")
        try:
            graph = fake_if_possible(self._workload, partial(autograd, self._workload))
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
        try:
            svg = self._layout.draw(graph.source, "svg", layout_s)
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
    found: dict[str, tuple[str, Trace]] = {}
    for path, given in {"": batch, **parts(model, batch)}.items():
        module = model.get_submodule(path) if path else model
        name = type(module).__name__
        if name in {known for known, _ in found.values()}:
            name = f"{name}-{path}"
        macs = count_macs(module, partial(given.call, module))
        found[path] = (
            name,
            trace(module, given.named(), partial(given.call, module), Costs(macs.by_module)),
        )
    return found
