"""A model in training: its optimizer, and the steps that they take together."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.optim import Optimizer

from modelbench.inputs.batch import Batch
from modelbench.inputs.tensors import named_tensors
from modelbench.measurement.numerics.fidelity import first_not_finite
from modelbench.models.workload import Workload
from modelbench.results import Skip
from modelbench.system.accelerator import synchronize
from modelbench.system.seed import seed_all


class TrainingError(Exception):
    """Training cannot go on; the message says at which step, and which layer is at fault."""


@dataclass(frozen=True)
class Step:
    """What one step came to."""

    loss: float
    chance_level: float | None
    """The loss of a model that knows nothing."""
    grad_norm: float | None
    """Of all gradients together; None where FP16's scaled gradients overflowed."""
    milliseconds: float


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name the parameters that are trained; raises Skip where there are none."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if not trained:
        count = sum(1 for _ in model.parameters())
        frozen = f"all {count} parameters are frozen" if count else "it has no parameters"
        raise Skip(f"{type(model).__name__} has nothing to train: {frozen}")
    return trained


def loss_of(workload: Workload, outputs: Any, batch: Batch) -> Tensor:
    """Return the loss; raises Skip where none is named and no output is there to train on."""
    tensors = named_tensors(outputs).values()
    if workload.measure is None and not any(t.is_floating_point() for t in tensors):
        kinds = sorted({str(t.dtype).removeprefix("torch.") for t in tensors})
        raise Skip(
            "there is no training objective: no output is floating-point ("
            f"{', '.join(kinds) or 'none is a tensor'}), and the model's YAML names no loss"
        )
    return workload.loss(outputs, batch)


class Trainer:
    """A model, fresh and seeded, with the optimizer asked for."""

    def __init__(
        self,
        workload: Workload,
        optimizer: Mapping[str, Any],
        batch_at: Callable[[int], Batch],
        dtype: torch.dtype,
    ) -> None:
        """Build both; with a `dtype` other than float32 the forward pass runs under autocast."""
        self._workload, self._batch_at = workload, batch_at
        self.model = workload.build().train()
        self.trained = trainable(self.model)
        self.make: Callable[..., Optimizer] = instantiate(
            optimizer, _partial_=True, _convert_="all"
        )
        self.optimizer = self.make(list(self.trained.values()))
        wanted = inspect.signature(self.optimizer.step).parameters.get("closure")
        if wanted is not None and wanted.default is wanted.empty:
            raise TypeError(
                f"{type(self.optimizer).__name__} computes the loss several times in one step; "
                "expected an optimizer whose step() takes no closure, such as AdamW"
            )
        self.unreached = set(self.trained)
        """Names of the parameters that have had no gradient other than zero so far."""
        self._dtype = dtype
        kind = workload.device.type
        self._scaler = torch.amp.GradScaler(kind, enabled=self._dtype is torch.float16)

    def step(self, number: int, notice: Callable[[str], None] = lambda _: None) -> Step:
        """Take one step on the batch of that number; `notice` hears of each part that is done.

        Seeded by the number, so that a step can be taken again. Raises TrainingError where loss or
        gradient are no numbers.
        """
        seed_all(self._workload.seed + number)
        batch = self._batch_at(number)
        synchronize(self._workload.device)
        start = perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        outputs = self._forward(batch)
        loss = loss_of(self._workload, outputs, batch)
        value = self._checked(number, loss, batch)
        notice("forward")
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        notice("backward")
        self._scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.trained.values() if p.grad is not None]
        norm = float(nn.utils.get_total_norm(gradients))
        # The scale is halved each time; below one it is not the scale that overflows.
        scaled = self._scaler.is_enabled() and self._scaler.get_scale() >= 1
        if not math.isfinite(norm) and not scaled:
            raise TrainingError(self._wrong_gradient(number))
        self._scaler.step(self.optimizer)
        self._scaler.update()
        synchronize(self._workload.device)
        took = (perf_counter() - start) * 1e3
        for name in list(self.unreached):
            gradient = self.trained[name].grad
            if gradient is not None and bool(gradient.any() and gradient.isfinite().all()):
                self.unreached.discard(name)
        chance_level = self._workload.chance_level(outputs, batch)
        return Step(value, chance_level, norm if math.isfinite(norm) else None, took)

    def save(self, file: Path) -> None:
        """Write a checkpoint."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state | {"scaler": self._scaler.state_dict()}, file)

    def load(self, file: Path) -> None:
        """Go back to a checkpoint."""
        state = torch.load(file, weights_only=True, map_location=self._workload.device)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])

    def _forward(self, batch: Batch) -> Any:
        low = self._dtype is not torch.float32
        with torch.autocast(self._workload.device.type, self._dtype, enabled=low):
            return batch.call(self.model)

    def _checked(self, number: int, loss: Any, batch: Batch) -> float:
        """Return the loss as a number; raises TrainingError where it is none."""
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            found = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise TrainingError(f"the loss is {found}; expected a scalar tensor")
        value = float(loss.detach())
        if not math.isfinite(value):
            seed_all(self._workload.seed + number)  # for dropout as it was
            layer = first_not_finite(self.model, partial(self._forward, batch))
            where = f"first from {layer}" if layer else "in the loss itself, not in a layer"
            raise TrainingError(
                f"step {number}: the loss is {value}, {where}{self._wrong_weight()}"
            )
        if not loss.requires_grad:
            raise TrainingError(
                "the loss has no gradient: it is detached from every trainable parameter, by "
                "detach(), no_grad(), item() or an operation outside torch"
            )
        return value

    def _wrong_gradient(self, number: int) -> str:
        for name, parameter in reversed(self.trained.items()):  # as gradients flow
            gradient = parameter.grad
            if gradient is not None and not bool(torch.isfinite(gradient).all()):
                return f"step {number}: the gradient of {name} holds NaN or infinity"
        return f"step {number}: the norm of the gradients overflows"

    def _wrong_weight(self) -> str:
        names = [n for n, p in self.trained.items() if not bool(torch.isfinite(p).all())]
        return f"; the weights {names[0]} already hold NaN or infinity" if names else ""


def furthest(one: list[Step], other: list[Step]) -> float:
    """Return the greatest relative difference of losses."""
    pairs = zip(one, other, strict=True)
    return max(abs(a.loss - b.loss) / (abs(a.loss) or 1.0) for a, b in pairs)
