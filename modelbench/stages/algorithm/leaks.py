"""Whether a sample's output depends on the others in its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from modelbench.measurement.numerics.consistency import NOT_COMPARED, RANDOM, among_others
from modelbench.models.batches import sample_dims
from modelbench.results import Report

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


def look_for_leaks(report: Report, workload: Workload, model: nn.Module) -> None:
    """Compare a sample's output in eval mode among its own batch and among others."""
    if "batch_size" not in workload.axes:
        return
    sizes = {"batch_size": max(2, workload.axes["batch_size"])}
    if not workload.takes("batch_size", sizes["batch_size"]):
        return
    own = workload.batch(**sizes)
    (others,) = workload.calibration(1, **sizes)
    model.eval()
    found = among_others(model, own, others, sample_dims(workload))
    model.train()
    if found is None:
        report.notes.append(NOT_COMPARED)
        return
    if found.random:
        report.warnings.append(RANDOM.format(found.output))
        return
    report.details["leak"] = found.share
    if found.matters:
        report.fail(
            f"in eval mode a sample's output {found.output} depends on the other samples in its "
            f"batch (by {found.share:.2g} of its RMS): look for statistics taken over the batch"
        )
