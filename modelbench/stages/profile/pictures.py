"""The pictures of one phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.graph.layout import Layout, LayoutError
from modelbench.measurement.graph.picture import Limits, picture
from modelbench.measurement.graph.trace import Costs, trace
from modelbench.measurement.profiling.layer_times import LayerTimes
from modelbench.measurement.profiling.work import Work
from modelbench.stages.profile.plots import draw_bars, draw_icicle, draw_timeline
from modelbench.stages.profile.rows import Row
from modelbench.stages.profile.tree import Branch
from modelbench.system.file_name import file_name

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.stages.stage import Context

NODES, LAYOUT_S = 60, 20.0
"""Of the architecture's picture."""
MOST_CALLS = 3000
"""Calls of modules above which the architecture is not drawn: the phase repeats itself."""


class Pictures:
    """Draws one phase."""

    def __init__(self, workload: Workload, context: Context, phase: str, rows: int) -> None:
        self._workload, self._context = workload, context
        self._phase, self._rows = phase, rows

    def charts(self, rows: Sequence[Row], tree: Branch, times: LayerTimes) -> list[str]:
        """Draw the slowest layers, the blocks within blocks, and one call over time."""
        title = f"{self._workload.name}: {self._phase}"
        name, folder = file_name(self._phase), self._context.directory
        files = draw_bars(rows[: self._rows], title, folder, f"plots/layers_time-{name}")
        files += draw_icicle(tree, title, folder, f"plots/icicle-{name}")
        return files + draw_timeline(times, title, folder, f"plots/timeline-{name}")

    def architecture(
        self, model: nn.Module, batch: Batch, times: LayerTimes, work: Work | None
    ) -> tuple[list[str], str | None]:
        """Draw the architecture coloured by time; return the files, or why there are none."""
        again = [p for i, p in enumerate(times.paths) if not p and times.called(i) > 1]
        calls = sum(times.called(i) for i in range(len(times.paths)))
        if again or calls > MOST_CALLS:
            return [], (
                f"its architecture is not drawn, since it calls its modules {calls:,.0f} times; "
                "the phases that it consists of have theirs"
            )
        costs = Costs(_inclusive(work, times) if work else {}, {
            path: times.total_ms(i) for i, path in enumerate(times.paths)
        })  # fmt: skip
        call = self._workload.phase(self._phase, model, batch)
        followed = trace(model, batch.named(), call, costs)
        if not followed.edges:
            return [], "its architecture is not drawn, since no input passes through a module"
        try:
            title = f"{type(model).__name__}, {self._phase}"
            drawn = picture(followed, title, Layout.here(), Limits(NODES, None, LAYOUT_S))
        except LayoutError as error:
            return [], f"its architecture is not drawn: {error}"
        files = []
        stem = f"model_time_{file_name(type(model).__name__)}-{file_name(self._phase)}"
        for ending, content in drawn.files.items():
            file = f"graph/{stem}.{ending}"
            (self._context.directory / file).parent.mkdir(parents=True, exist_ok=True)
            (self._context.directory / file).write_bytes(content)
            files.append(file)
        return files, None


def _inclusive(work: Work, times: LayerTimes) -> dict[str, int]:
    """Return the MACs of each module with what is within."""
    found = dict.fromkeys(times.paths, 0)
    for path, macs in work.macs.items():
        around = path
        while True:
            found[around] = found.get(around, 0) + macs
            if not around:
                break
            around = around.rpartition(".")[0]
    return found
