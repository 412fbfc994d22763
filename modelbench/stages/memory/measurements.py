"""What a model holds in memory, in inference and in a training step: estimated, and measured.

Each of the functions here is to run in a process of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.counting import on_shapes
from modelbench.measurement.isolated import Send
from modelbench.measurement.memory.live import Live, Saved, inference_peak, own_tensors, size_of
from modelbench.measurement.memory.meter import Meter, give_back, load_libraries
from modelbench.measurement.training.first_step import Keeps
from modelbench.measurement.training.training import Trainer, loss_of, trainable
from modelbench.models.fake import on_fake_tensors
from modelbench.models.workload import Workload
from modelbench.precision.convert import convert, training_dtype
from modelbench.results import Skip
from modelbench.runtimes.deploy import deploy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inference:
    """Bytes; estimated or measured."""

    weights: int
    """Parameters and buffers."""
    peak: int


@dataclass(frozen=True)
class Training:
    """Bytes of one step; estimated or measured."""

    weights: int
    activations: int
    """Kept by the forward pass for the backward pass; measured, the output as well."""
    gradients: int
    optimizer: int
    peak: int
    by_module: Mapping[str, int]
    """The activations by the module that made them, where that is known."""


@dataclass(frozen=True)
class Allocator:
    """What torch's allocator held at most, in bytes."""

    allocated: int
    reserved: int


def estimate_inference(workload: Workload, send: Send) -> None:
    """Send what an inference will hold, by its shapes alone."""

    def act(fake: nn.Module, given: Batch) -> Inference:
        peak = inference_peak(fake, lambda: given.call(fake), given.named().values())
        return Inference(size_of(own_tensors(fake)), peak)

    if workload.scheme is None:
        send(_without_numbers(workload, act))
        return
    converted = convert(workload)
    batch = converted.batch(workload.batch())
    with torch.compiler.set_stance("force_eager"):
        send(on_shapes(converted.model, batch, act))


def estimate_training(workload: Workload, optimizer: Mapping[str, Any], send: Send) -> None:
    """Send what a training step will hold, by its shapes alone."""
    keeps = Keeps.of(instantiate(optimizer, _partial_=True, _convert_="all"))
    dtype = training_dtype(workload)

    def act(fake: nn.Module, given: Batch) -> Training:
        trained = trainable(fake.train())
        own = own_tensors(fake)
        live, saved = Live(), Saved([*own, *given.named().values()])
        live.add([own, list(given.named().values())])
        base = live.now
        low = dtype is not torch.float32
        with live:
            with (
                saved.watching(fake),
                torch.autocast(workload.device.type, dtype, enabled=low),
            ):
                outputs = given.call(fake)
                loss = loss_of(workload, outputs, given)
            loss.backward()  # type: ignore[no-untyped-call]
        stepped = [p for p in trained.values() if p.grad is not None]
        gradients = size_of(p.grad for p in stepped if p.grad is not None)
        state = round(keeps.state * size_of(stepped))
        # A loop over the parameters on the CPU, on CUDA all of them at a time.
        at_a_time = gradients
        if workload.device.type == "cpu":
            at_a_time = max((p.nbytes for p in stepped), default=0)
        stepping = base + gradients + state + keeps.temporary * at_a_time
        peak = max(live.most + state, stepping)
        return Training(
            size_of(own), saved.total, gradients, state, peak, dict(saved.by_module)
        )  # fmt: skip

    send(_without_numbers(workload, act))


def _without_numbers(workload: Workload, act: Callable[[nn.Module, Batch], Any]) -> Any:
    """Act on the model without memory: made so, as a real one may not fit, or else copied."""
    try:
        return on_fake_tensors(workload, act)
    except Skip:
        raise
    except Exception:  # one that looks at its own weights while it is made
        log.info("the model cannot be built with fake tensors", exc_info=True)
    with torch.compiler.set_stance("force_eager"):
        return on_shapes(workload.build(), workload.batch(), act)


def measure_inference(workload: Workload, send: Send) -> None:
    """Send what an inference holds."""
    give_back()
    workload.batch()
    load_libraries(workload.device)
    meter = Meter(workload.device)
    converted = deploy(workload)
    weights = meter.held()
    batch = converted.batch(workload.batch())
    if converted.attachment is not None:  # what exporting takes is no inference's
        with torch.inference_mode():
            batch.call(converted.model)
    meter.restart()  # building has its own peak, where weights are drawn or read
    with torch.compiler.set_stance("force_eager"), torch.inference_mode():
        batch.call(converted.model)
    send(Inference(weights, meter.peak()))


def measure_training(
    workload: Workload, optimizer: Mapping[str, Any], send: Send, *, tight: bool
) -> None:
    """Send what a training step holds, and on CUDA and XPU what the allocator did.

    With `tight`, the CPU's allocator gives back what is freed.
    """
    if tight:
        give_back()
    workload.batch()
    load_libraries(workload.device)
    Keeps.of(instantiate(optimizer, _partial_=True, _convert_="all"))  # imports what it needs
    meter = Meter(workload.device)
    given: list[Batch] = []
    trainer = Trainer(workload, optimizer, lambda _: given[0], training_dtype(workload))
    weights = meter.held()
    given.append(workload.batch())
    loaded = meter.held()
    meter.restart()
    trainer.step(0)  # with it comes the optimizer's state, which is there from then on
    trainer.optimizer.zero_grad(set_to_none=True)
    before = meter.held()
    seen: dict[str, int] = {}
    trainer.step(1, _noting(meter, seen))
    activations, gradients = seen["forward"] - before, seen["backward"] - before
    optimizer_state = before - loaded
    send(Training(weights, activations, gradients, optimizer_state, meter.peak(), {}))
    device = workload.device
    if device.type in {"cuda", "xpu"}:
        most = torch.accelerator.max_memory_allocated, torch.accelerator.max_memory_reserved
        send(Allocator(*(each(device) for each in most)))


def _noting(meter: Meter, seen: dict[str, int]) -> Callable[[str], None]:
    def notice(part: str) -> None:
        seen[part] = meter.held()

    return notice
