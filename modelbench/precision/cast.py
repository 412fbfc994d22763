"""Half precision: every weight and every floating input in another type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from modelbench.precision.channels import lay_out
from modelbench.precision.compiling import no_compiler
from modelbench.precision.converted import ConvertedModel, Coverage
from modelbench.precision.scheme import Scheme
from modelbench.results import Skip
from modelbench.system.accelerator import Switches, allow_tf32, tf32

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

TYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Cast(Scheme):
    """Computes in `dtype` throughout."""

    dtype: str = "float32"
    channels_last: bool = False
    """Whether images are laid out pixel by pixel, which half precision likes."""
    tf32: bool = False
    """Whether float32 products on CUDA may round their factors to 10 bits (TF32)."""

    def __post_init__(self) -> None:
        """Refuse other types."""
        if self.dtype not in TYPES:
            raise ValueError(f"dtype={self.dtype}: expected {', '.join(TYPES)}")

    def autocast(self) -> torch.dtype:
        """Return the type itself; TF32 and compilation are left to inference."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def convert(self, workload: Workload, *, phases: bool) -> ConvertedModel:  # noqa: ARG002
        """Cast the model."""
        self.refuse(workload.device)
        dtype = self.autocast()
        low = dtype is not torch.float32
        model = workload.build()
        notes = []
        if self.channels_last and (why := lay_out(model, workload)):
            notes.append(f"does not use channels_last: {why}")
        if low:
            model.to(dtype)
        if self.tf32:
            _round_factors(model)
        total = sum(parameter.numel() for parameter in model.parameters())
        computed = None if low or self.tf32 else dict[str, float]()
        coverage = Coverage(total if low else 0, total, computed)
        if self.compile and (why := no_compiler(workload.device.type)):
            raise Skip(f"cannot be compiled: {why}")
        return ConvertedModel(model, coverage, dtype=dtype, compiles=self.compile, notes=notes)


def _round_factors(model: nn.Module) -> None:
    """Let products use TF32 while the model, or a part of it, runs, and no others.

    The switches are the process's, and single precision is measured in it too.
    """
    before: list[Switches] = []

    def on(*_: Any) -> None:
        before.append(tf32())
        allow_tf32(Switches(matmul=True, cudnn=True))

    def off(*_: Any) -> None:
        allow_tf32(before.pop())

    for module in (model, *model.children()):
        module.register_forward_pre_hook(on)
        module.register_forward_hook(off, always_call=True)
