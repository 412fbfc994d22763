"""What is special in building: modules that are lazy, and weights without memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
)
from torch.nn.parameter import is_lazy

from modelbench.inputs.batch import Batch
from modelbench.models.shapes import Shapes
from modelbench.results.origin import root_cause

NUMBERS = (DataDependentOutputException, DynamicOutputShapeException)
"""What is raised where shapes alone do not tell."""


def initialise(model: nn.Module, batch: Callable[[], Batch]) -> None:
    """Call a model in evaluation mode once, where it has weights without a size."""
    if any(is_lazy(each) for each in [*model.parameters(), *model.buffers()]):
        with torch.no_grad():
            batch().call(model)


def build_fake(
    build: Callable[[], Any], batch: Callable[[], Batch], mode: Shapes, device: torch.device
) -> Any:
    """Build a model in the mode.

    A lazy one, which cannot be made there, by torch's meta device; one that looks at numbers while
    it is made, such as the widths of its layers, outside the mode and with shapes for parameters.
    """
    try:
        with mode, device, _drawn_blindly():
            return build()
    except Exception as error:
        numbers = isinstance(root_cause(error), NUMBERS)
        if not numbers and "Uninitialized" not in str(error):
            raise
    if numbers:
        with _parameters_without_memory(mode):
            model = build()
        _placed(model, mode, device)
        return model
    with torch.device("meta"):
        model = build()
    initialise(model.eval(), lambda: batch().map(lambda tensor: tensor.to("meta")))
    _placed(model, mode, device)
    return model


@contextmanager
def _parameters_without_memory(mode: Shapes) -> Iterator[None]:
    """Turn each parameter into its shape as a module takes it, before its numbers are drawn."""
    register = nn.Module.register_parameter

    def shape_alone(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        shape: Any = param
        if not (param is None or is_lazy(param) or isinstance(param, FakeTensor)):  # or is tied
            shape = mode.from_tensor(param)
        register(module, name, shape)

    nn.Module.register_parameter = shape_alone  # type: ignore[method-assign, assignment]
    try:
        with _drawn_blindly():
            yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


@contextmanager
def _drawn_blindly() -> Iterator[None]:
    """Leave out torch's truncated normal, which looks whether a number lies outside its bounds."""
    drawn = nn.init._no_grad_trunc_normal_
    nn.init._no_grad_trunc_normal_ = lambda tensor, *_, **__: tensor
    try:
        yield
    finally:
        nn.init._no_grad_trunc_normal_ = drawn


def _placed(model: nn.Module, mode: Shapes, device: torch.device) -> None:
    made: dict[Tensor, Any] = {}  # a tied weight stays one
    with mode:
        for old in model.parameters():
            made[old] = nn.Parameter(_like(old, device), old.requires_grad)
        made |= {buffer: _like(buffer, device) for buffer in model.buffers()}
    for module in model.modules():
        holders: list[dict[str, Any]] = [module._parameters, module._buffers]
        for held in holders:
            held.update({name: made[old] for name, old in held.items() if old is not None})


def _like(tensor: Tensor, device: torch.device) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
