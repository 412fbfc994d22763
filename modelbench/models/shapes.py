"""The mode in which shapes are computed and numbers are not."""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode


class Shapes(FakeTensorMode):
    """torch's own, with what it knows of the experts' product in half precision only."""

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the outputs of an operation, without numbers."""
        if func is not torch.ops.aten._grouped_mm.default:
            return super().dispatch(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        first, second = args[:2]
        offsets: Any = (kwargs or {}).get("offs", args[2] if len(args) > 2 else None)
        both = [*first.shape[:-1], second.shape[-1]]
        if first.ndim == second.ndim == 2:  # a product for each group
            both = [*offsets.shape, *both]
        with self:
            kind = (kwargs or {}).get("out_dtype") or first.dtype
            return torch.empty(both, dtype=kind, device=first.device)
