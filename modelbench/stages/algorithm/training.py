"""The training that the algorithm stage looks at, check by check."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.measurement.memory.meter import free
from modelbench.measurement.numerics.accuracy import accuracy
from modelbench.measurement.training.first_step import Before, Keeps
from modelbench.measurement.training.training import Step, Trainer, TrainingError, furthest
from modelbench.models.batches import mixed_batch
from modelbench.precision.convert import training_dtype
from modelbench.results import Report, Skip
from modelbench.stages.algorithm.findings import not_falling
from modelbench.stages.algorithm.first_step import listed, optimizer_faults, start_of_loss
from modelbench.stages.algorithm.leaks import look_for_leaks
from modelbench.stages.stage import Context

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

GIB = 2**30
MOST_BYTES = 2**29
"""Of the batches of labelled data, which come round again where there are more steps."""
LEAST_STEPS = 10
"""Steps that are taken whatever the budget."""
SAVED, REPEATED = 2, 4
"""Steps before the checkpoint, and those that are taken a second time."""
EXACT, CLOSE = 0.0, 1e-3
"""Relative differences of a loss that was computed twice: none, and what kernels may vary by."""


class Training:
    """One training, its checks, and what they found."""

    def __init__(
        self, workload: Workload, context: Context, optimizer: Mapping[str, Any], steps: int
    ) -> None:
        """Build the model; `steps` are taken at most."""
        self.report, self._most = Report(), steps
        self._optimizer = {"lr": workload.learning_rate, **optimizer}
        self._workload, self._context = workload, context
        context.say("building the model")
        self._trainer = self._new()
        self._room()
        self._steps: list[Step] = []

    def learn(self, budget_s: float, min_drop: float) -> None:
        """Train, and hold the outcome against what is expected.

        After `budget_s` seconds there are no more steps; the loss has to fall by `min_drop`.
        """
        right = self._accuracy()
        trained = self._trainer.trained
        kept = {n: p.detach().clone() for n, p in self._frozen.items()}
        before: Before | None = Before.of(self._trainer.optimizer, trained)
        for number in range(self._most):
            self._context.say(f"step {number + 1} of {self._most}")
            if number == SAVED:
                self._trainer.save(self._file)
            try:
                self._steps.append(self._trainer.step(number))
            except TrainingError as error:
                self.report.fail(str(error))
                break
            if before is not None and self._steps[-1].grad_norm is not None:
                self._first_step(before)
                before = None
            if number + 1 >= LEAST_STEPS and self._spent > budget_s:
                self.report.notes.append(
                    f"stopped after {number + 1} of {self._most} steps by test.algorithm.budget_s"
                )
                break
        if before is not None and self._steps:
            self.report.notes.append("no step was taken, so the optimizer was not checked")
        self._figures(min_drop)
        if kept:
            count = f"{len(kept)} of {len(kept) + len(trained)} parameters"
            self.report.notes.append(f"frozen: {listed(list(kept))} ({count})")
        moved = [n for n, p in self._frozen.items() if not torch.equal(p.detach(), kept[n])]
        if moved:
            self.report.fail(f"frozen, but updated: {listed(moved)}")
        if self._steps:
            self._gradients()
        if self.report.failure is None:
            after = self._accuracy()
            if right is not None and after is not None:
                self.report.metric("accuracy_before", right, "share")
                self.report.metric("accuracy_after", after, "share")

    def repeat(self) -> None:
        """Take the first steps again, and some from the checkpoint."""
        steps = min(REPEATED, len(self._steps))
        if self.report.failure is not None or steps <= SAVED:
            return
        self._context.say("repeating the first steps")
        first = self._steps[:steps]
        self._trainer = self._new()  # the other one's memory is free before this one steps
        again = [self._trainer.step(number) for number in range(steps)]
        apart = furthest(first, again)
        self.report.details["repeat_difference"] = apart
        if apart > CLOSE:
            self.report.warnings.append(
                f"the same seed gives different losses, up to {apart:.2g} apart: the model uses "
                "random generators other than those of Python, NumPy and torch, or "
                "nondeterministic kernels"
            )
        self._context.say("resuming from the checkpoint")
        self._trainer.load(self._file)
        resumed = [self._trainer.step(number) for number in range(SAVED, steps)]
        later = furthest(first[SAVED:], resumed)
        self.report.details["resume_difference"] = later
        if later > max(CLOSE, 2 * apart):
            self.report.fail(
                f"resumed from a checkpoint after step {SAVED}, the losses are up to {later:.2g} "
                "apart: some state of the model or the optimizer is not in its state_dict"
            )
        elif apart <= CLOSE:
            how = "bit for bit" if max(apart, later) == EXACT else f"within {CLOSE:g}"
            self.report.notes.append(
                "the same seed gives the same losses, and so does resuming from a checkpoint, "
                f"{how}"
            )

    def _new(self) -> Trainer:
        dtype = training_dtype(self._workload)
        return Trainer(self._workload, self._optimizer, self._batch, dtype)

    def _room(self) -> None:
        """Raise Skip where there is too little memory."""
        weights = sum(p.numel() * p.element_size() for p in self._trainer.trained.values())
        there = free(self._workload.device)
        copies = 2 + Keeps.of(self._trainer.make).state
        if (needed := copies * weights) > 0.8 * there:
            raise Skip(
                f"training needs over {needed / GIB:.1f} GiB for gradients, optimizer and the copy "
                f"that its first step is checked against, but only {there / GIB:.1f} GiB are free; "
                "test=memory estimates the training itself"
            )

    @property
    def _spent(self) -> float:
        return sum(step.milliseconds for step in self._steps) / 1e3

    @property
    def _file(self) -> Any:
        self._context.scratch.mkdir(exist_ok=True)
        return self._context.scratch / "checkpoint.pt"

    @cached_property
    def _frozen(self) -> dict[str, Tensor]:
        parameters = self._trainer.model.named_parameters()
        return {name: p for name, p in parameters if not p.requires_grad}

    @cached_property
    def _batches(self) -> list[Batch]:
        """The batches of training: one for each step of labelled data, else the same for all."""
        if self._workload.data is None:
            return [self._overfitted]
        held = 0
        batches: list[Batch] = []
        for batch in itertools.islice(self._workload.labelled(test=False), self._most):
            held += sum(tensor.nbytes for tensor in batch.named().values())
            if batches and held > MOST_BYTES:
                break
            batches.append(batch)
        return batches

    @cached_property
    def _overfitted(self) -> Batch:
        # A loss may compare samples, as CLIP's does: of a single one it is nothing.
        return mixed_batch(self._workload)

    def _batch(self, number: int) -> Batch:
        return self._batches[number % len(self._batches)]

    def _first_step(self, before: Before) -> None:
        named = self._optimizer["_target_"]
        pretrained = self._workload.pretrained is not None
        start_of_loss(self.report, self._steps[0], pretrained=pretrained)
        for fault in optimizer_faults(self.report, self._trainer, before, named):
            self.report.fail(fault)

    def _figures(self, min_drop: float) -> None:
        """Add the curve, and decide by it."""
        report, losses = self.report, [step.loss for step in self._steps]
        if not losses:
            return
        report.series["loss"] = losses
        report.series["grad_norm"] = [
            math.nan if step.grad_norm is None else step.grad_norm for step in self._steps
        ]
        last = statistics.median(losses[-3:])
        drop = min(1.0, max(0.0, (losses[0] - last) / (abs(losses[0]) or 1.0)))
        report.metric("loss_first", losses[0], "loss")
        report.metric("loss_last", last, "loss")
        report.metric("loss_drop", drop, "share")
        # The first step also makes the optimizer's state.
        timed = [step.milliseconds for step in self._steps[1:]] or [self._steps[0].milliseconds]
        report.metric("step_ms", statistics.median(timed), "ms")
        what = "labelled data" if self._workload.data is not None else "one batch"
        told = f"the loss goes from {losses[0]:.4g} to {last:.4g}"
        report.notes.append(f"{len(losses)} steps on {what}: {told}")
        if drop < min_drop:
            rate = self._trainer.optimizer.param_groups[0].get("lr", math.nan)
            norms = [step.grad_norm for step in self._steps]
            told = not_falling(losses, norms, min_drop, rate)
            # The mean square of what a normalisation gives out hardly falls in any model.
            if self._workload.measure is None and drop > 0:
                report.warnings.append(f"{told}; name a loss in the model's YAML to check more")
            else:
                report.fail(told)

    def _gradients(self) -> None:
        """Name the parameters that no gradient reached."""
        dead = [name for name in self._trainer.trained if name in self._trainer.unreached]
        self.report.metric("dead_params", len(dead), "count")
        self.report.details["dead_params"] = dead
        if dead and len(self._steps) > 1:
            self.report.warnings.append(
                f"{listed(dead)} never received a nonzero gradient: unused, detached, or behind a "
                "dead activation"
            )

    def _accuracy(self) -> float | None:
        if self._workload.data is None:
            return None
        return accuracy(self._trainer.model, self._workload.labelled(test=True))

    def leaks(self) -> None:
        """See that a sample's output in eval mode is its own."""
        if self.report.failure is None:
            self._context.say("checking for leaks between samples")
            look_for_leaks(self.report, self._workload, self._trainer.model)
