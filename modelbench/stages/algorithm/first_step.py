"""What the first step of a training tells: where the loss starts, and what the optimizer does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hydra.utils import get_object
from torch import Tensor

from modelbench.measurement.training.first_step import Before, Keeps
from modelbench.measurement.training.training import Step, Trainer
from modelbench.results import Report

NEAR = 0.2
"""Relative distance from chance level within which an untrained loss is where it should be."""
MIB = 2**20


def start_of_loss(report: Report, step: Step, *, pretrained: bool) -> None:
    """Hold the first loss against that of a model that knows nothing."""
    chance, loss = step.chance_level, step.loss
    report.details["expected_first_loss"] = chance
    if chance is None:
        return
    if pretrained and loss > chance:
        report.warnings.append(
            f"the pretrained model's loss is {loss:.4g}, above the chance level of {chance:.4g}: "
            "check the weights and the input"
        )
    if not pretrained and abs(loss - chance) > NEAR * chance:
        report.warnings.append(
            f"the loss starts at {loss:.4g}, over {NEAR:.0%} away from the chance level of "
            f"{chance:.4g}: check the initialisation and the loss"
        )


def optimizer_faults(
    report: Report, trainer: Trainer, before: Before, wanted: str
) -> Iterator[str]:
    """Name what is wrong with the optimizer's first step; what it keeps goes into the report."""
    optimizer = trainer.optimizer
    name = type(optimizer).__name__
    if type(optimizer) is not get_object(wanted):
        yield f"the optimizer is {name}, not {wanted}"
    _state(report, trainer)
    unmoved = [n for n in before.unmoved() if n not in trainer.unreached]
    if unmoved and all(group.get("lr") == 0 for group in optimizer.param_groups):
        yield f"the learning rate is 0: {name} updates no parameter"
    elif unmoved := [n for n in unmoved if before.visible(n)]:
        yield f"{name} does not update {listed(unmoved)}, despite a nonzero gradient"
    try:
        wrong = before.wrong()
    except LookupError:
        report.notes.append(f"{name}: its update rule is unknown, so its step was not checked")
        return
    if wrong:
        yield (
            f"{name}'s first step on {wrong} differs from its update rule with this learning rate "
            "and weight decay"
        )


def _state(report: Report, trainer: Trainer) -> None:
    """Hold the size of the optimizer's state against what such a one keeps."""
    name, state = type(trainer.optimizer).__name__, trainer.optimizer.state
    # A parameter of no dimension looks like the counter of steps.
    reached = [p for p in trainer.trained.values() if p.grad is not None and p.ndim]
    each = Keeps.of(trainer.make).state
    wanted = round(each * sum(p.numel() * p.element_size() for p in reached))
    found = sum(
        value.numel() * value.element_size()
        for parameter in reached
        for value in state[parameter].values()
        if isinstance(value, Tensor) and value.shape == parameter.shape
    )
    report.details["optimizer"] = {"class": name, "state_mib": found / MIB}
    report.notes.append(f"{name} keeps {each:.2g} values per parameter, {found / MIB:,.2f} MiB")
    if found != wanted and each == int(each):  # what keeps rows and columns depends on the shape
        report.warnings.append(
            f"{name} keeps {found / MIB:.2f} MiB, expected {wanted / MIB:.2f} MiB"
        )


def listed(names: Sequence[str]) -> str:
    """Name a few."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
