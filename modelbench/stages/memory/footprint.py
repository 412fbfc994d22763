"""The memory of one model: estimated on shapes alone, then measured."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from modelbench.measurement.isolated import Ended, isolated
from modelbench.measurement.memory.meter import free, method
from modelbench.measurement.memory.tolerance import missed
from modelbench.measurement.training.training import TrainingError
from modelbench.results import Report, Skip
from modelbench.results.attempts import in_one_line
from modelbench.stages.memory.measurements import (
    Training,
    estimate_inference,
    estimate_training,
    measure_inference,
    measure_training,
)
from modelbench.stages.memory.plot import draw_memory
from modelbench.stages.stage import Context

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

log = logging.getLogger(__name__)

MIB, GIB = 2**20, 2**30
SHOWN = 5
KEPT = 1.5
"""Times the least that training holds which an allocator may hold that keeps what is freed."""


class Footprint:
    """The memory of one model."""

    def __init__(self, workload: Workload, context: Context, margin: float) -> None:
        """Take the share of the free memory that a measurement may take."""
        self.report, self._margin = Report(), margin
        self._workload, self._context = workload, context
        self.report.notes.append(f"measured: {method(context.device)}")

    def measure(self, optimizer: Mapping[str, Any]) -> None:
        """Estimate and measure inference and training; where one fails, the other goes on."""
        for what, act in (
            ("inference", self._inference),
            ("training", partial(self._training, optimizer)),
        ):
            try:
                act()
            except Skip:
                raise
            except Exception as error:  # its process has died, or the model raised anything
                log.exception("measuring %s", what)
                why = str(error) if isinstance(error, Ended) else in_one_line(error)
                self.report.fail(f"{what}: {why}")

    def _inference(self) -> None:
        """Estimate and measure one call in inference."""
        estimated = self._estimate("inference", partial(estimate_inference, self._workload))
        if estimated is not None:
            self._metric("weights_mib", estimated.weights)
            self._metric("predicted_inference_peak_mib", estimated.peak)
        if not self._fits("inference", estimated):
            return
        self._context.say("measuring inference")
        (measured,) = self._isolated(partial(measure_inference, self._workload))
        self._metric("inference_peak_mib", measured.peak)
        if estimated is None:
            self._metric("weights_mib", measured.weights)
        else:
            self._hold("inference", estimated, measured, ("weights", "peak"))

    def _training(self, optimizer: Mapping[str, Any]) -> None:
        """Estimate and measure one step of training."""
        given = {"lr": self._workload.learning_rate, **optimizer}
        try:
            estimated = self._estimate(
                "training", partial(estimate_training, self._workload, given)
            )
        except Skip as skip:
            self.report.notes.append(f"training skipped: {skip}")
            return
        if estimated is not None:
            for part in ("gradients", "optimizer", "activations"):
                self._metric(f"{part}_mib", getattr(estimated, part))
            self._metric("predicted_training_peak_mib", estimated.peak)
            self._layers(estimated)
        if not self._fits("training", estimated):
            return
        self._context.say("measuring a training step")
        measure = partial(measure_training, self._workload, given)
        try:
            measured, *allocators = self._isolated(partial(measure, tight=True))
        except (Skip, TrainingError) as why:  # which the stage `algorithm` judges
            self.report.notes.append(f"training skipped: {why}")
            return
        self._metric("training_peak_mib", measured.peak)
        if self._context.device.type == "cpu":
            self._usual(partial(measure, tight=False), measured.peak)
        kind = self._context.device.type
        for each in allocators:
            self._metric(f"{kind}_allocated_mib", each.allocated)
            self._metric(f"{kind}_reserved_mib", each.reserved)
            share = 1 - each.allocated / each.reserved
            self.report.metric(f"{kind}_fragmentation", share, "share")
        if estimated is not None:
            parts = ("weights", "activations", "gradients", "optimizer", "peak")
            self._hold("training", estimated, measured, parts)

    def _usual(self, measure: Callable[..., None], tight: int) -> None:
        """Measure what the allocator holds when it keeps what is freed; it may be too much."""
        why = f"only {free(self._context.device) / GIB:.1f} GiB are free"
        if KEPT * tight < free(self._context.device):
            try:
                (usual,) = self._isolated(measure)
            except Ended as end:
                why = str(end)
            else:
                self._metric("training_resident_mib", usual.peak)
                return
        self.report.notes.append(f"training_resident_mib skipped: {why}")

    def draw(self) -> None:
        """Draw what it consists of, estimated beside measured."""
        bars = {
            f"{what},\n{how}": {part: sizes[f"{how}_mib"] for part, sizes in parts.items()}
            for what, parts in self.report.details.items()
            for how in ("predicted", "measured")
        }
        if bars:
            title = f"{self._workload.name}: memory, estimated and measured"
            self.report.artifacts += draw_memory(bars, title, self._context.directory)

    def _isolated(self, act: Callable[..., None]) -> list[Any]:
        return list(isolated(act, self._context.device))

    def _estimate(self, what: str, act: Callable[..., None]) -> Any:
        """Return what is estimated, or None where the model does not run on shapes alone."""
        self._context.say(f"estimating {what}")
        try:
            (estimated,) = self._isolated(act)
        except Skip:
            raise
        except Ended:  # to measure for real takes more
            raise
        except Exception as error:  # which operations refuse shapes alone cannot be listed
            log.info("estimating %s", what, exc_info=True)
            self.report.notes.append(
                f"{what} could not be estimated with fake tensors: {in_one_line(error)}"
            )
            return None
        return estimated

    def _fits(self, what: str, estimated: Any) -> bool:
        there = free(self._context.device)
        if estimated is None or estimated.peak <= self._margin * there:
            return True
        self.report.notes.append(
            f"{what} is only estimated: it needs {estimated.peak / GIB:.1f} GiB, but only "
            f"{there / GIB:.1f} GiB are free"
        )
        return False

    def _hold(self, what: str, estimated: Any, measured: Any, parts: tuple[str, ...]) -> None:
        """Put the prediction beside the measurement."""
        report = self.report
        both = {part: (getattr(estimated, part), getattr(measured, part)) for part in parts}
        report.details[what] = {
            part: {"predicted_mib": told / MIB, "measured_mib": found / MIB}
            for part, (told, found) in both.items()
        }
        told, found = both["peak"]
        report.notes.append(
            f"{what}: peak {found / MIB:,.0f} MiB, {told / MIB:,.0f} estimated ("
            + ", ".join(f"{part} {a / MIB:,.0f}" for part, (a, _) in both.items() if part != "peak")
            + ")"
        )
        if what == "inference" and self._workload.runtime is not None:
            report.notes.append(
                "inference: measured with the model beside the exported program, which the "
                "estimate leaves out; test=runtimes measures the program alone"
            )
            return
        if not missed(told, found):
            return
        wrong = [part for part in parts if part != "peak" and missed(*both[part])]
        which = " and ".join(
            f"{part} ({both[part][0] / MIB:,.0f} MiB estimated, "
            f"{both[part][1] / MIB:,.0f} measured)"
            for part in wrong
        )
        report.warnings.append(
            f"{what}: its peak misses the estimate by {(found - told) / told:+.0%}, in "
            + (which or "kernel workspaces")
        )

    def _layers(self, estimated: Training) -> None:
        """Name the layers that keep most for the backward pass, and write them all."""
        ranked = sorted(estimated.by_module.items(), key=lambda each: -each[1])
        file = self._context.directory / "activations.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(["layer", "activations_mib"])
            table.writerows((path or "(model)", f"{size / MIB:.4f}") for path, size in ranked)
        self.report.artifacts.append(file.name)
        most = ", ".join(
            f"{path or 'outside layers'} {size / MIB:,.1f}" for path, size in ranked[:SHOWN]
        )
        if most:
            self.report.notes.append(f"largest activations kept for backward, in MiB: {most}")

    def _metric(self, name: str, size: int) -> None:
        self.report.metric(name, size / MIB, "MiB")
