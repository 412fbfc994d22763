"""What a model and its parts consist of, counted without computing where that can be done."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode

from modelbench.batch import Batch
from modelbench.measure.flops import Macs, count_macs
from modelbench.measure.layers import Layer, trace_layers
from modelbench.measure.torchinfo_figures import Figures, torchinfo_figures

T = TypeVar("T")
Prepare = Callable[[nn.Module, Batch], Callable[[], Any]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """One model or part of it, run forward once."""

    macs: Macs
    layers: list[Layer]
    torchinfo: Figures | str
    """torchinfo's figures, or why it has none."""


def count(model: nn.Module, batch: Batch, *, here: bool) -> dict[str, Counted]:
    """Count the whole model, under '', and each of its parts.

    With `here`, what was given is run some times: a model
    without memory, or one so quick that computing takes less than keeping account of shapes.
    Otherwise it is copied without memory and run on shapes alone, which is as exact; one that
    looks at numbers is run for real.
    """
    if here:
        return _count(model, batch)
    try:
        return on_shapes(model, batch, _count)
    except Exception:  # which operations refuse shapes alone cannot be listed
        log.info("the model cannot run on shapes alone", exc_info=True)
    return _count(model, batch)


def count_phase(prepare: Prepare, model: nn.Module, batch: Batch, *, quick: bool) -> Macs | None:
    """Count one phase: by running a `quick` one once more, else on shapes alone.

    A phase that looks at numbers may have a method `on_shapes` that computes the same without. One
    that is not quick, looks at numbers and has none is not counted.
    """
    if quick:  # a call on shapes takes some seconds as well, where it has many operations
        return count_macs(model, prepare(model, batch))

    def one(ghost: nn.Module, given: Batch) -> Macs:
        call = prepare(ghost, given)
        return count_macs(ghost, getattr(call, "on_shapes", call))

    try:
        return on_shapes(model, batch, one)
    except Exception:  # as above
        log.info("the phase cannot run on shapes alone", exc_info=True)
        return None


def on_shapes(model: nn.Module, batch: Batch, act: Callable[[nn.Module, Batch], T]) -> T:
    """Act on a copy of the model without memory, and of the batch."""
    ghost, mode = without_memory(model)
    with mode:
        return act(ghost, batch.map(mode.from_tensor))


def without_memory(model: nn.Module) -> tuple[nn.Module, FakeTensorMode]:
    """Copy a model without its memory; give the mode that it runs in as well."""
    mode = FakeTensorMode()
    with FakeCopyMode(mode):
        return copy.deepcopy(model), mode


def _count(model: nn.Module, batch: Batch) -> dict[str, Counted]:
    given = {"": batch, **parts(model, batch)}
    return {path: _count_one(model.get_submodule(path), each) for path, each in given.items()}


def parts(model: nn.Module, batch: Batch) -> dict[str, Batch]:
    """Give the input of each of the model's parts by its path, from its method `parts`, if any."""
    parts_of: Any = getattr(model, "parts", None)
    return parts_of(batch) if callable(parts_of) else {}


def _count_one(model: nn.Module, batch: Batch) -> Counted:
    macs = count_macs(model, lambda: batch.call(model))
    layers = trace_layers(model, lambda: batch.call(model))
    try:
        return Counted(macs, layers, torchinfo_figures(model, batch))
    except RuntimeError as error:  # torchinfo raises this for any model it cannot run
        log.info("torchinfo", exc_info=True)
        return Counted(macs, layers, str(error))
