"""Samples that calibration has not seen, and how much of their outputs survives a precision."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from modelbench.inputs.tensors import named_tensors
from modelbench.measurement.numerics.fidelity import Spread, all_finite, fidelity
from modelbench.models.batches import unseen

if TYPE_CHECKING:
    from modelbench.inputs.batch import Batch
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel

MOST, MOST_BYTES = 16, 2**28
"""Calls that are compared, and what their outputs may hold."""
ENOUGH, PATIENCE = 8, 3
"""Calls that are worth waiting for, and how many times as long as else."""


class Samples:
    """Inputs of one model, with its outputs in single precision."""

    def __init__(self, workload: Workload, model: nn.Module, seconds: float) -> None:
        """Call the model for so many seconds; at least once, with the workload's own input."""
        self._pairs: list[tuple[Batch, Any]] = []
        self._seconds, end = seconds, perf_counter() + seconds
        held = 0
        for batch in unseen(workload, MOST):
            wanted = _call(batch, model)
            held += sum(tensor.nbytes for tensor in named_tensors(wanted).values())
            if all_finite(wanted):
                self._pairs.append((batch, wanted))
            late = perf_counter() > end + (PATIENCE * seconds if len(self._pairs) < ENOUGH else 0)
            if late or held > MOST_BYTES:
                break

    def held_against(self, converted: ConvertedModel) -> tuple[Spread, int]:
        """Compare the converted model's outputs; return the number of compared calls, too."""
        end = perf_counter() + self._seconds
        found = []
        for batch, wanted in self._pairs:
            found.append(fidelity(wanted, _call(converted.batch(batch), converted.model)))
            if perf_counter() > end + (PATIENCE * self._seconds if len(found) < ENOUGH else 0):
                break
        return Spread.of(found), len(found)


@torch.inference_mode()
def _call(batch: Batch, model: nn.Module) -> Any:
    """Call it; the input is made outside, since code is compiled anew for an inference tensor."""
    return batch.call(model)
