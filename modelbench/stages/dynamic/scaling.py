"""The axes that the dynamic stage looks at, and what they have in common."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from modelbench.measurement.isolated import Ended, isolated
from modelbench.results import Skip
from modelbench.results.attempts import in_one_line
from modelbench.stages.dynamic.axis import MIB, AxisTrials
from modelbench.stages.dynamic.estimate import Axis, estimate
from modelbench.stages.dynamic.exporting import Exported, try_export
from modelbench.stages.dynamic.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping


log = logging.getLogger(__name__)

FACTORS = (0.25, 0.5, 1, 2, 4)
BATCHES = (1, 2, 4, 8)
EXPORT_S = 90.0


class Scaling:
    """All axes of a model."""

    def __init__(self, session: Session, sizes: Mapping[str, list[int]]) -> None:
        """Take the sizes to try by axis; of an axis that has none, some about the model's own."""
        self.report, self._session = session.report, session
        self._workload, self._context = session.workload, session.context
        self._wanted = sizes
        self._estimated: dict[str, Axis] = {}
        self._trials: list[AxisTrials] = []

    def estimate(self) -> None:
        """Find on shapes alone what the model needs and what each size will take."""
        self._context.say("searching for valid sizes with fake tensors")
        wanted = {axis: self._sizes(axis) for axis in self._workload.axes}
        session = self._session
        act = partial(estimate, self._workload, wanted, session.most, session.search_s)
        try:
            session.weights, *axes = isolated(act, self._context.device)
            self._estimated = {axis.name: axis for axis in axes}
        except Exception as error:  # which operations refuse shapes alone cannot be listed
            log.info("with fake tensors", exc_info=True)
            why = str(error) if isinstance(error, Ended) else in_one_line(error)
            self.report.notes.append(
                f"sizes are tried only by running the model; with fake tensors: {why}"
            )

    def run(self) -> None:
        """Call the model at each size of each axis."""
        for name in self._workload.axes:
            trials = AxisTrials(name, self._sizes(name), self._estimated.get(name), self._session)
            self._context.say(f"running {name} {', '.join(map(str, trials.sizes))}")
            trials.run()
            trials.tell()
            self._trials.append(trials)

    def finish(self, *, export: bool) -> None:
        """Try to export, and sum up."""
        report, session = self.report, self._session
        if self._trials and not any(t.passed or t.failed for t in self._trials):
            raise Skip(
                f"every size takes over {session.most / MIB:,.0f} MiB (test.dynamic.memory_mib, "
                "and half of the free memory); the weights alone take "
                f"{session.weights / MIB:,.0f} MiB"
            )
        report.metric("passed", sum(t.passed for t in self._trials), "count")
        report.metric("failed", sum(t.failed for t in self._trials), "count")
        if export:
            self._context.say("exporting")
            report.notes.append(self._export().told())
        broken = [t.name for t in self._trials if t.failed and not t.passed]
        if broken:
            usual = ", ".join(f"{axis}={size}" for axis, size in self._workload.axes.items())
            report.fail(f"no size of {', '.join(broken)} works; the defaults are {usual}")

    def _sizes(self, axis: str) -> list[int]:
        if axis in self._wanted:
            return sorted(set(self._wanted[axis]))
        usual = self._workload.axes[axis]
        tried = [usual * b for b in BATCHES] if axis == "batch_size" else []
        tried = tried or [int(usual * factor) for factor in FACTORS]
        return sorted({size for size in tried if self._workload.takes(axis, size)} | {usual})

    def _export(self) -> Exported:
        others = {
            trials.name: usual + constraints.step
            if constraints.claims(usual + constraints.step)
            else usual - constraints.step
            for trials in self._trials
            if (constraints := trials.constraints)
            and constraints.step
            and (usual := self._usual(trials.name))
        }
        act = partial(try_export, self._workload, others)
        try:
            (exported,) = isolated(act, self._context.device, EXPORT_S)
        except Exception as error:  # the exporter raises all kinds
            log.info("exporting", exc_info=True)
            plain = isinstance(error, Ended | TimeoutError)
            return Exported(error=str(error) if plain else in_one_line(error))
        found: Exported = exported
        return found

    def _usual(self, axis: str) -> int:
        usual = self._workload.axes[axis]
        return max(2, usual) if axis == "batch_size" else usual
