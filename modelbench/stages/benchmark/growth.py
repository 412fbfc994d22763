"""Throughput of a phase over growing sizes of an axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelbench.results import Report, Skip

if TYPE_CHECKING:
    from torch import nn

    from modelbench.inputs.batch import Batch
    from modelbench.measurement.timing.throughput import Growth
    from modelbench.measurement.timing.timing import Rule
    from modelbench.models.workload import Workload
    from modelbench.stages.stage import Context


@dataclass(frozen=True)
class Throughput:
    """What is grown: a converted model, and how it is timed at each size."""

    workload: Workload
    context: Context
    model: nn.Module
    batch: Callable[[Batch], Batch]
    """Brings a batch into the model's precision."""
    rule: Rule
    only: str | None
    """Why the model has one size only."""

    def grow(
        self, report: Report, phase: str, axis: str, wanted: list[int], usual_ms: float
    ) -> None:
        """Add the throughput of one phase, a call of which takes so long, over sizes of an axis."""
        sizes = [size for size in wanted if self.workload.takes(axis, size)]
        if not sizes:
            return
        if usual_ms > self.rule.budget_s * 1e3:
            report.notes.append(
                f"{phase}: a call takes {usual_ms / 1e3:.1f} s, too long to sweep {axis} "
                "within test.benchmark.throughput_s"
            )
            return
        if self.only:
            report.notes.append(f"{phase}: {self.only}; no throughput over {axis}")
            return
        self.context.say(f"throughput of {phase} over {axis}")
        try:
            self._add(report, phase, axis, self._measured(phase, axis, sizes))
        except Skip as skip:
            report.notes.append(f"{phase}, throughput over {axis} skipped: {skip}")

    def _measured(self, phase: str, axis: str, sizes: list[int]) -> Growth:
        from modelbench.measurement.timing.throughput import grow

        repeated = 1 if axis == "batch_size" else self.workload.axes.get("batch_size", 1)
        at = partial(self._call, phase, axis)
        return grow(at, sizes, repeated, self.rule, self.context.device)

    def _call(self, phase: str, axis: str, size: int) -> Callable[[], Any]:
        batch = self.batch(self.workload.batch(**{axis: size}))
        return self.workload.phase(phase, self.model, batch)

    def _add(self, report: Report, phase: str, axis: str, found: Growth) -> None:
        kind, unit = ("batch", "items") if axis == "batch_size" else ("prompt", "tokens")
        report.curves[f"{phase}/{kind}_{unit}_per_s"] = {p.size: p.rate for p in found.points}
        report.curves[f"{phase}/{kind}_p50_ms"] = {p.size: p.p50_ms for p in found.points}
        rates = ", ".join(f"{p.rate:,.4g} at {p.size}" for p in found.points)
        ended = f" ({found.ended})" if found.ended else ""
        report.notes.append(f"{phase}: {unit}/s over {axis}: {rates or 'none'}{ended}")
        if found.failed and found.points:  # a size that it does not take, and not the one asked for
            report.warnings.append(f"{phase}: {axis}={found.failed}")
        elif found.failed:
            report.fail(f"{phase}: {axis}={found.failed}")
        if found.saturation and len(found.points) > 1:
            report.metric(f"{phase}/{kind}_knee", found.saturation.size, "count")
            report.metric(f"{phase}/{kind}_knee_p50_ms", found.saturation.p50_ms, "ms")
