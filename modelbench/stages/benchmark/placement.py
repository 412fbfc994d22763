"""What each phase computes and moves, placed on the machine's roofline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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

    def find(self, report: Report, phase: str, seconds: float) -> tuple[Place | None, int]:
        """Count the MACs and bytes of a call that takes so long.

        Returns its place, where it has one, and how many operations it consists of.
        """
        prepare = partial(self._workload.phase, phase)
        # What was compiled, or runs elsewhere, hides its operations.
        with torch.compiler.set_stance("force_eager"), self._converted.native():
            cost = count_phase(prepare, self._converted.model, self._batch, quick=seconds < QUICK_S)
        if cost is None:
            report.notes.append(f"{phase}: its MACs and its share of the peak are unknown")
            return None, 0
        report.metric(f"{phase}/macs_g", cost.total / 1e9, "GMACs")
        report.metric(f"{phase}/moved_mb", cost.bytes / 1e6, "MB")
        if cost.uncounted:
            left_out = ", ".join(cost.uncounted)
            report.notes.append(f"{phase}: its MACs and its share of the peak exclude {left_out}")
        if not cost.total:
            report.notes.append(f"{phase}: no MACs were counted, so it has no share of the peak")
            return None, cost.operations
        place = Place(cost.total, cost.bytes, seconds, self._peaks())
        if place.mfu > 1:  # the peak was measured at a bad moment, or we have counted wrongly
            place = replace(place, peaks=self._peaks(afresh=True))
        if place.peaks.disturbed:
            why = "; ".join(place.peaks.disturbed)
            report.warnings.append(f"{phase}: the machine's measured peaks are too low: {why}")
        elif place.mfu > 1:
            report.fail(
                f"{phase}: {place.mfu:.2f} times the attainable rate of MACs, which is impossible: "
                "an error in modelbench's counting; please report it"
            )
        return place, cost.operations

    def _peaks(self, *, afresh: bool = False) -> Peaks:
        return peaks(self._workload.device, self._converted.dtype, afresh=afresh)


def add_share(report: Report, phase: str, place: Place) -> None:
    """Add what share of the machine's peaks a phase reaches."""
    report.metric(f"{phase}/mfu", place.mfu, "share")
    report.metric(f"{phase}/bandwidth", place.bandwidth, "share")
    report.details[phase] |= {"bound": place.bound, "peaks": place.peaks.told()}
    if place.peaks.slow:
        report.warnings.append(
            f"{phase}: mfu and bandwidth are held against peaks that were measured while the "
            f"machine was {place.peaks.slow:.0%} slower than usual, and come out too high"
        )


def draw_roofline(report: Report, places: Mapping[str, Place], name: str, directory: Path) -> None:
    """Draw the roofline with the phases below it."""
    bounds = ", ".join(f"{phase} by {place.bound}" for phase, place in places.items())
    report.notes.append(f"bound: {bounds}")
    report.artifacts += roofline(places, f"{name}: roofline", directory)
