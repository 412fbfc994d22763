"""Lazy modules, which learn the sizes of their weights from the first input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from modelbench.batch import Batch
from modelbench.shapes import Shapes


def initialise(model: nn.Module, batch: Callable[[], Batch]) -> None:
    """Call a model in evaluation mode once, where it has weights without a size."""
    if any(is_lazy(each) for each in [*model.parameters(), *model.buffers()]):
        with torch.no_grad():
            batch().call(model)


def build_without_memory(
    build: Callable[[], Any], batch: Callable[[], Batch], mode: Shapes, device: torch.device
) -> Any:
    """Build a model in the mode; a lazy one, which cannot be made there, by torch's meta device."""
    try:
        with mode, device:
            return build()
    except Exception as error:
        if "Uninitialized" not in str(error):
            raise
    with torch.device("meta"):
        model = build()
    initialise(model.eval(), lambda: batch().map(lambda tensor: tensor.to("meta")))
    _placed(model, mode, device)
    return model


def _placed(model: nn.Module, mode: Shapes, device: torch.device) -> None:
    made: dict[Tensor, Any] = {}  # a tied weight stays one
    with mode:
        for each in model.parameters():
            made[each] = nn.Parameter(_like(each, device), each.requires_grad)
        for each in model.buffers():
            made[each] = _like(each, device)
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            held.update({name: made[old] for name, old in held.items() if old is not None})


def _like(tensor: Tensor, device: torch.device) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
