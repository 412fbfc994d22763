"""Throughput of a phase over growing sizes of an axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelbench.measurement.timing.between import between
from modelbench.measurement.timing.throughput import Growth, grow, grow_again
from modelbench.results import Report, Skip
from modelbench.runtimes.deploy import prepared

if TYPE_CHECKING:
    from modelbench.measurement.timing.record import Known
    from modelbench.measurement.timing.timing import Rule
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel
    from modelbench.stages.stage import Context


@dataclass(frozen=True)
class Grown:
    """The throughput of one phase over sizes of an axis, from all processes so far."""

    phase: str
    axis: str
    growth: Growth

    def add(self, report: Report, known: Known, *, shared: bool) -> None:
        """Add its curves, with the intervals that what is known of the phase leaves.

        `shared` is whether several processes have timed the phase.
        """
        phase, found = self.phase, self.growth
        kind, unit = ("batch", "items") if self.axis == "batch_size" else ("prompt", "tokens")
        report.curves[f"{phase}/{kind}_{unit}_per_s"] = {p.size: p.rate for p in found.points}
        report.curves[f"{phase}/{kind}_p50_ms"] = {p.size: p.p50_ms for p in found.points}
        for end, which in enumerate(("low", "high")):
            report.curves[f"{phase}/{kind}_ci95_{which}_ms"] = {
                p.size: ends[end] for p in found.points
                if (ends := between(p.processes, known).interval)
            }  # fmt: skip
        rates = ", ".join(f"{p.rate:,.4g} at {p.size}" for p in found.points)
        ended = f" ({found.ended})" if found.ended else ""
        report.notes.append(f"{phase}: {unit}/s over {self.axis}: {rates or 'none'}{ended}")
        few = [p.size for p in found.points if len(p.processes) == 1]
        if few and shared:
            report.notes.append(
                f"{phase}: from {self.axis}={few[0]} on, throughput is timed in one process, since "
                "a call takes long (test.benchmark.throughput_s)"
            )
        if found.failed and found.points:  # a size that it does not take, and not the one asked for
            report.warnings.append(f"{phase}: {self.axis}={found.failed}")
        elif found.failed:
            report.fail(f"{phase}: {self.axis}={found.failed}")
        if found.saturation and len(found.points) > 1:
            report.metric(f"{phase}/{kind}_knee", found.saturation.size, "count")
            report.metric(f"{phase}/{kind}_knee_p50_ms", found.saturation.p50_ms, "ms")


@dataclass(frozen=True)
class Throughput:
    """What is grown: a converted model, and how it is timed at each size."""

    workload: Workload
    context: Context
    converted: ConvertedModel
    rule: Rule

    def grow(
        self, report: Report, phase: str, axis: str, wanted: list[int], usual_ms: float
    ) -> Grown | None:
        """Return the throughput of one phase, a call of which takes so long, over an axis."""
        sizes = [size for size in wanted if self.workload.takes(axis, size)]
        if not sizes:
            return None
        if usual_ms > self.rule.budget_s * 1e3:
            report.notes.append(
                f"{phase}: a call takes {usual_ms / 1e3:.1f} s, too long to sweep {axis} "
                "within test.benchmark.throughput_s"
            )
            return None
        self.context.say(f"throughput of {phase} over {axis}")
        repeated = 1 if axis == "batch_size" else self.workload.axes.get("batch_size", 1)
        at = partial(self._call, phase, axis)
        try:
            return Grown(phase, axis, grow(at, sizes, repeated, self.rule, self.context.device))
        except Skip as skip:
            report.notes.append(f"{phase}, throughput over {axis} skipped: {skip}")
            return None

    def again(self, found: Grown) -> None:
        """Add this process's samples."""
        self.context.say(f"throughput of {found.phase} over {found.axis}")
        at = partial(self._call, found.phase, found.axis)
        grow_again(found.growth, at, self.rule, self.context.device)

    def _call(self, phase: str, axis: str, size: int) -> Callable[[], Any]:
        batch = self.converted.batch(self.workload.batch(**{axis: size}))
        call = self.workload.phase(phase, self.converted.model, batch)
        prepared(self.converted, call)
        return call
