"""All figures of a benchmark, from what its processes have found so far."""

from __future__ import annotations

import shutil
from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from modelbench.measurement.compute.peaks import fingerprint
from modelbench.measurement.timing.audit import of_speed
from modelbench.measurement.timing.control import KINDS
from modelbench.measurement.timing.record import Record
from modelbench.results import Further, Report
from modelbench.stages.benchmark.placement import draw_roofline
from modelbench.stages.benchmark.plot_samples import draw_samples
from modelbench.stages.benchmark.samples import PhaseFigures, middle
from modelbench.stages.benchmark.sampling import EXPORTED
from modelbench.stages.part import part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbench.models.workload import Workload
    from modelbench.stages.benchmark.sampled import Earlier
    from modelbench.stages.stage import Context


def summed_up(earlier: Earlier, left: int, workload: Workload, context: Context) -> Report:
    """Return the whole report; it asks for the processes that are `left`.

    With none left it is kept for later runs, and has its plots.
    """
    report = add_figures(earlier, workload)
    figures = _figures(earlier, workload)
    if left > 0 and figures:
        report.further = Further(left, earlier)
        return report
    shutil.rmtree(context.directory / EXPORTED, ignore_errors=True)
    _keep(report, figures, _machine(workload))
    with part(report, "plots", workload):
        for phase in figures:
            report.artifacts += draw_samples(phase, workload.name, context.directory)
    places = {name: found.place for name, found in earlier.phases.items() if found.place}
    if places:
        with part(report, "roofline plot", workload):
            draw_roofline(report, places, workload.name, context.directory)
    return report


def add_figures(earlier: Earlier, workload: Workload) -> Report:
    """Return the report with all that follows from the samples so far."""
    report, figures = deepcopy(earlier.report), _figures(earlier, workload)
    static, report.metrics = report.metrics, {}
    for phase in figures:
        phase.add(report, workload.axes.get("batch_size", 1))
    varied = {phase.phase: phase.known for phase in figures}
    for grown in earlier.grown:
        several = len(earlier.phases[grown.phase].timings) > 1
        grown.add(report, varied[grown.phase], shared=several)
    # In the order in which a person reads: loading, latency, what it consists of, the machine.
    plain = {name: metric for name, metric in static.items() if "/" not in name}
    report.metrics = {**plain, **report.metrics, **static}
    _speed(report, figures, _machine(workload))
    return report


def _figures(earlier: Earlier, workload: Workload) -> list[PhaseFigures]:
    machine = _machine(workload)
    return [
        PhaseFigures(phase, found, _record(earlier, phase), machine)
        for phase, found in earlier.phases.items()
    ]


def _machine(workload: Workload) -> Record:
    """Return the record of the machine's speed."""
    return Record(control=fingerprint(workload.device, torch.float32))


def _record(earlier: Earlier, phase: str) -> Record:
    """Return the record of earlier runs of the very same call."""
    counted = {
        name: earlier.report.metrics[f"{phase}/{name}"].value
        for name in ("macs_g", "moved_mb")
        if f"{phase}/{name}" in earlier.report.metrics
    }
    return Record(**earlier.identity, phase=phase, **counted)


def _speed(report: Report, figures: Sequence[PhaseFigures], machine: Record) -> None:
    """Add how fast the machine was, against its usual speed."""
    timings = [timing for phase in figures for timing in phase.counted]
    for kind in KINDS:
        now = middle([ms for timing in timings for ms in timing.rounds.of(kind)])
        if now is None:
            continue
        report.metric(f"control/{kind}_ms", now, "ms")
        usual = machine.usual(f"{kind}_ms")
        if usual is not None:
            report.metric(f"control/{kind}_slowdown", now / usual.median, "times")
            report.warnings += of_speed(kind, now, usual.median, usual.runs)


def _keep(report: Report, figures: Sequence[PhaseFigures], machine: Record) -> None:
    """Let later runs know of this one, unless other processes were busy: that is not usual."""
    if not all(phase.quiet for phase in figures):
        return
    speeds = {kind: report.metrics.get(f"control/{kind}_ms") for kind in KINDS}
    try:
        machine.add({f"{kind}_ms": found.value for kind, found in speeds.items() if found})
        for phase in figures:
            phase.keep()
    except OSError as error:  # a cache that cannot be written
        report.notes.append(f"later runs will not know of this one: {error}")
