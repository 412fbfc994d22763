"""What a model and its parts consist of, counted without computing where that can be done."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.flops import Macs, count_macs
from modelbench.measurement.compute.layers import Layer, scripts, trace_layers
from modelbench.measurement.compute.torchinfo_figures import Figures, torchinfo_figures
from modelbench.models.shapes import Shapes
from modelbench.results.attempts import in_one_line
from modelbench.results.failures import of_error

T = TypeVar("T")
FakeModel = tuple[nn.Module, FakeTensorMode]
Prepare = Callable[[nn.Module, Batch], Callable[[], Any]]

log = logging.getLogger(__name__)


@dataclass
class Counted:
    """One model or part of it, run forward once. What failed is None, and `failed` says why."""

    batch: Batch
    macs: Macs | None = None
    layers: list[Layer] | None = None
    torchinfo: Figures | str | None = None
    """torchinfo's figures, or why it has none."""
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def count(model: nn.Module, batch: Batch, *, here: bool) -> dict[str, Counted]:
    """Count the whole model, under '', and each of its parts.

    With `here`, what was given is run some times: a model
    without memory, or one so quick that computing takes less than keeping account of shapes.
    Otherwise it is copied without memory and run on shapes alone, which is as exact; one that
    looks at numbers is run for real, and so is one that cannot be copied.
    """
    fake = None if here else _fake(model)
    whole = _count(model, fake, "", batch)
    try:
        others = parts(model, batch)
    except Exception as error:  # the model's own code, which may raise anything
        log.exception("parts")
        whole.failed.append(f"its method parts: {of_error(error, '')}")
        others = {}
    found = {path: _count(model, fake, path, each) for path, each in others.items()}
    return {"": whole, **found}


def count_phase(prepare: Prepare, model: nn.Module, batch: Batch, *, quick: bool) -> Macs | None:
    """Count one phase; None where it cannot be counted."""
    return on_phase(prepare, model, batch, count_macs, quick=quick)


def on_phase(
    prepare: Prepare,
    model: nn.Module,
    batch: Batch,
    act: Callable[[nn.Module, Callable[[], Any]], T],
    *,
    quick: bool,
) -> T | None:
    """Act on one phase's call: of the model itself where it is `quick`, else on shapes alone.

    A phase that looks at numbers may have a method `on_shapes` that computes the same without. One
    that is not quick, looks at numbers and has none gives None.
    """
    if quick:  # a call on shapes takes some seconds as well, where it has many operations
        with torch.inference_mode():  # as it is timed; a state made there changes nowhere else
            return act(model, prepare(model, batch))

    def one(fake: nn.Module, given: Batch) -> T:
        with torch.inference_mode():
            call = prepare(fake, given)
            return act(fake, getattr(call, "on_shapes", call))

    try:
        return on_shapes(model, batch, one)
    except Exception:  # as above
        log.info("the phase cannot run with fake tensors", exc_info=True)
        return None


def on_shapes(model: nn.Module, batch: Batch, act: Callable[[nn.Module, Batch], T]) -> T:
    """Act on a copy of the model without memory, and of the batch."""
    fake, mode = fake_copy(model)
    with mode:
        return act(fake, batch.map(mode.from_tensor))


def fake_copy(model: nn.Module) -> FakeModel:
    """Copy a model without its memory; return the mode that it runs in as well."""
    mode = Shapes()
    with FakeCopyMode(mode):
        return copy.deepcopy(model), mode


def parts(model: nn.Module, batch: Batch) -> dict[str, Batch]:
    """Return the input of each of the model's parts by path, from its method `parts`, if any."""
    parts_of: Any = getattr(model, "parts", None)
    return parts_of(batch) if callable(parts_of) else {}


def _at(model: nn.Module, path: str) -> nn.Module:
    return model.get_submodule(path) if path else model  # a scripted one does not give itself


def _fake(model: nn.Module) -> FakeModel | None:
    try:
        return fake_copy(model)
    except Exception:  # which modules refuse to be copied cannot be listed
        log.info("the model cannot be copied", exc_info=True)
        return None


def _count(model: nn.Module, fake: FakeModel | None, path: str, batch: Batch) -> Counted:
    """Count one part on shapes alone, or for real where that fails in any way."""
    if fake is not None:
        copied, mode = fake
        with mode:
            found = _count_one(copied, path, batch.map(mode.from_tensor))
        if not found.failed:
            return replace(found, batch=batch)
    return _count_one(model, path, batch)


def _count_one(model: nn.Module, path: str, batch: Batch) -> Counted:
    """Count one part; what fails is named, and the rest is there."""
    counted = Counted(batch)

    def tried(what: str, act: Callable[[nn.Module], T]) -> T | None:
        try:
            return act(_at(model, path))
        except Exception as error:  # the model's own code, which may raise anything
            log.info("%s: %s", path or "the model", what, exc_info=True)
            counted.failed.append(f"{what}: {of_error(error, '')}")
            return None

    counted.macs = tried("counting MACs", lambda part: count_macs(part, lambda: batch.call(part)))
    counted.layers = tried(
        "tracing its layers", lambda part: trace_layers(part, lambda: batch.call(part))
    )
    for inner, script in scripts(_at(model, path)).items():
        counted.notes.append(
            f"{inner or 'the model'} is a {type(script).__name__}: hooks do not see its "
            "inner layers, so the layer table lists it as one layer; its MACs are still counted"
        )
    try:
        counted.torchinfo = torchinfo_figures(_at(model, path), batch)
    except Exception as error:  # it gives up on many models, each in a way of its own
        log.info("torchinfo", exc_info=True)
        counted.torchinfo = in_one_line(error)
    return counted
