"""Half precision: every weight and every floating input in another type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from modelbench.precision.compiling import no_compiler
from modelbench.precision.scheme import Scheme
from modelbench.precision.shipped import Reach, Shipped
from modelbench.results import Skip

if TYPE_CHECKING:
    from modelbench.workload import Workload

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

    def ship(self, workload: Workload, *, phases: bool) -> Shipped:  # noqa: ARG002
        """Cast the model."""
        self.refuse(workload.device)
        if self.tf32:
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        dtype: torch.dtype = getattr(torch, self.dtype)
        model = workload.build().to(dtype)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        total = sum(parameter.numel() for parameter in model.parameters())
        low = dtype is not torch.float32
        computed = None if low or self.tf32 else frozenset[str]()
        reach = Reach(total if low else 0, total, computed)
        if self.compile and (why := no_compiler(workload.device.type)):
            raise Skip(f"cannot be compiled: {why}")
        return Shipped(model, reach, dtype=dtype, compiles=self.compile)
