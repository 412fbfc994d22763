"""The memory that a deployed model takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from modelbench.measurement.memory.meter import Meter, load_libraries
from modelbench.runtimes.deploy import adapted, deploy, prepared, runtime_of
from modelbench.runtimes.variant import Variant

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

MIB = 2**20


@dataclass(frozen=True)
class Peak:
    """What a deployed model takes: in a process that has not exported it."""

    workload: Workload
    variant: Variant

    def of_file(self, file: str, inputs: str) -> float:
        """Return the MiB that loading a file and one inference, of saved inputs, take at most."""
        tensors = torch.load(inputs, weights_only=True, map_location=self.workload.device)
        load_libraries(self.workload.device)
        assert self.variant.engine is not None
        plain, device = runtime_of(self.variant.engine), self.workload.device
        runtime = adapted(plain, device, self.variant.scheme)
        meter = Meter(self.workload.device)
        with torch.inference_mode():
            runtime.load(Path(file)).run(tensors)
        return meter.peak() / MIB

    def of_model(self, phase: str) -> float:
        """Return the same of the model as PyTorch runs it."""
        workload = replace(self.workload, runtime=self.variant.engine, scheme=self.variant.scheme)
        batch = workload.batch()
        load_libraries(workload.device)
        meter = Meter(workload.device)
        converted = deploy(workload)
        call = workload.phase(phase, converted.model, converted.batch(batch))
        prepared(converted, call)
        meter.restart()
        with torch.inference_mode():
            call()
        return meter.peak() / MIB
