"""What each phase computes and moves, placed on the machine's roofline."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from modelbench.measurement.compute.counting import count_phase
from modelbench.measurement.compute.peaks import Peaks, peaks
from modelbench.measurement.compute.roofline import Place
from modelbench.results import Report
from modelbench.stages.benchmark.plot_roofline import roofline

if TYPE_CHECKING:
    from modelbench.inputs.batch import Batch
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel

QUICK_S = 5.0
"""Seconds of a call that is made once more to count it."""


class Placement:
    """The phases of one model below the peaks of its device."""

    def __init__(self, workload: Workload, converted: ConvertedModel, batch: Batch) -> None:
        self._workload, self._converted, self._batch = workload, converted, batch
        self._places: dict[str, Place] = {}

    def add(self, report: Report, phase: str, seconds: float) -> None:
        """Count the MACs and bytes of a call that takes so long, and add its share of the peak."""
        prepare = partial(self._workload.phase, phase)
        with torch.compiler.set_stance("force_eager"):  # what was compiled hides its operations
            cost = count_phase(prepare, self._converted.model, self._batch, quick=seconds < QUICK_S)
        if cost is None:
            report.notes.append(f"{phase}: its MACs and its share of the peak are unknown")
            return
        report.metric(f"{phase}/macs_g", cost.total / 1e9, "GMACs")
        report.metric(f"{phase}/moved_mb", cost.bytes / 1e6, "MB")
        if cost.uncounted:
            left_out = ", ".join(cost.uncounted)
            report.notes.append(f"{phase}: its MACs and its share of the peak exclude {left_out}")
        if not cost.total:
            report.notes.append(f"{phase}: no MACs were counted, so it has no share of the peak")
            return
        self._place(report, phase, Place(cost.total, cost.bytes, seconds, self._peaks()))

    def _place(self, report: Report, phase: str, place: Place) -> None:
        if place.mfu > 1:  # the peak was measured at a bad moment, or we have counted wrongly
            place = Place(place.macs, place.bytes, place.seconds, self._peaks(afresh=True))
        self._places[phase] = place
        if place.peaks.disturbed:
            why = "; ".join(place.peaks.disturbed)
            report.warnings.append(f"{phase}: the machine's measured peaks are too low: {why}")
        report.metric(f"{phase}/mfu", place.mfu, "share")
        report.metric(f"{phase}/bandwidth", place.bandwidth, "share")
        report.details[phase]["bound"] = place.bound
        if place.mfu > 1 and not place.peaks.disturbed:
            report.fail(
                f"{phase}: {place.mfu:.2f} times the attainable rate of MACs, which is impossible: "
                "an error in modelbench's counting; please report it"
            )

    def _peaks(self, *, afresh: bool = False) -> Peaks:
        return peaks(self._workload.device, self._converted.dtype, afresh=afresh)

    def draw(self, report: Report, name: str, directory: Path) -> None:
        """Draw the roofline with the phases below it."""
        if not self._places:
            return
        bounds = ", ".join(f"{phase} by {place.bound}" for phase, place in self._places.items())
        report.notes.append(f"bound: {bounds}")
        report.artifacts += roofline(self._places, f"{name}: roofline", directory)
