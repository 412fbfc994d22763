"""What a reader should know of a phase's figures."""

from __future__ import annotations

from collections.abc import Sequence

from modelbench.measurement.profiling.layer_times import LayerTimes
from modelbench.measurement.profiling.recording import NO_OPERATOR, OUTSIDE, Recording
from modelbench.results import Report
from modelbench.stages.profile.rows import Row, accounted

ADDS_UP = 0.05
"""How far the rows may be from adding up to the call."""
LAUNCHES = 0.8
"""Share of a call below which kernels run for little of it."""


def judge(report: Report, phase: str, times: LayerTimes, rows: Sequence[Row]) -> None:
    """Warn where rows do not add up, and say what else a reader should know."""
    whole = accounted(rows)
    if abs(whole - 1) > ADDS_UP:
        spread = max(times.plain_ms) / min(times.plain_ms) - 1
        where = (
            f"calls of the phase vary by {spread:.0%}; raise test.profile.budget_s"
            if spread > 2 * ADDS_UP and abs(times.overhead) < ADDS_UP
            else f"with the layers' clock it takes {times.overhead:+.0%}, since its layers are "
            f"as short as what their clock takes; the largest rows still stand"
        )
        report.warnings.append(f"{phase}: its layers add up to {whole:.1%} of its time: {where}")
    if times.varied():
        report.notes.append(
            f"{phase}: modules were called differently often from call to call; shown are averages"
        )
    if times.replaced:
        few = ", ".join(times.replaced[:3])
        report.notes.append(
            f"{phase}: {len(times.replaced)} modules came while it ran ({few}); their time "
            "stands with the module around"
        )
    if not any(row.kind and row.path for row in rows):
        report.notes.append(
            f"{phase}: no layer within the model was called as a module, so all its time is "
            "the model's own; the operators say more"
        )


def of_operators(report: Report, phase: str, times: LayerTimes, recording: Recording) -> None:
    """Add what the profiler costs, and what kernels do on an accelerator."""
    whole_ms = recording.whole.taken / 1e3
    report.metric(f"{phase}/operators_overhead", whole_ms / times.median_ms - 1, "share")
    if not recording.on_device:
        return
    kernels, busy = recording.kernels_us / 1e3, recording.busy_us / 1e3
    report.metric(f"{phase}/kernels_ms", kernels, "ms")
    if busy < LAUNCHES * times.median_ms:
        report.notes.append(
            f"{phase}: launch-bound, kernels run for {busy / times.median_ms:.0%} of the time; "
            "layers' times are those of launching (try larger batches, or torch.compile)"
        )
    if kernels > 1.02 * busy:
        report.notes.append(
            f"{phase}: streams overlap: kernels take {kernels:.3g} ms one by one, and "
            f"{busy:.3g} ms side by side"
        )


def of_kernels(report: Report, phase: str, times: LayerTimes, recording: Recording) -> None:
    """Add what the kernels of a compiled phase add up to."""
    ran = recording.operators()
    outside = sum(ran[name][1] for name in (OUTSIDE, NO_OPERATOR) if name in ran)
    accounted = 1 - outside / (sum(spent for _, spent in ran.values()) or 1.0)
    report.metric(f"{phase}/accounted", accounted, "share")
    report.metric(f"{phase}/overhead", recording.whole.taken / 1e3 / times.median_ms - 1, "share")
    if 1 - accounted > ADDS_UP:
        report.warnings.append(
            f"{phase}: its kernels add up to {accounted:.1%} of its time; the rest is Python, and "
            "what torch.compile checks before each call"
        )
