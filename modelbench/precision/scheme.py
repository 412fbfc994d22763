"""What every scheme has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from modelbench.results import Skip

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel


@dataclass(frozen=True)
class Scheme:
    """A way to convert a model; its fields are the keys below `scheme` of its YAML."""

    device: str | None = None
    """The only kind of device that it runs on: `cpu` or `cuda`."""
    capability: float | None = None
    """The least compute capability of a CUDA device, such as 8.9."""
    compile: bool = False
    """Whether torch.compile makes code of it, where there is a compiler for that."""

    def refuse(self, device: torch.device) -> None:
        """Raise Skip where the device cannot run it."""
        if self.device is not None and device.type != self.device:
            raise Skip(f"needs a {self.device.upper()} device, but this is {device}")
        if self.capability is not None and device.type == "cuda":
            major, minor = torch.cuda.get_device_capability(device)
            if major + minor / 10 < self.capability:
                raise Skip(
                    f"needs compute capability {self.capability:g}, but the device has "
                    f"{major}.{minor}"
                )

    def autocast(self) -> torch.dtype:
        """Return the type that training computes in; raises Skip where there is none."""
        raise Skip("the precision is for inference only; train in fp32, bf16 or fp16")

    def convert(self, workload: Workload, *, phases: bool) -> ConvertedModel:
        """Build the model and bring it into its form; raises Skip where that cannot be.

        With `phases`, all its calls are to work, not only the one with the whole batch.
        """
        raise NotImplementedError
