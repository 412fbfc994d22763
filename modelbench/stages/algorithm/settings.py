"""Whether the model trains: a short real training, and what an experienced person checks first."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelbench.measurement.training.optimizer import adamw, checked_optimizer
from modelbench.results import Report
from modelbench.results.attempts import in_one_line
from modelbench.stages.stage import PLOTS, Context, Stage, positive

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


@dataclass(frozen=True)
class Algorithm(Stage):
    """Trains on the labelled data of the model's YAML, or else on one batch over and over."""

    timeout_s: float = 600.0
    optimizer: Any = field(default_factory=adamw)
    """Any class of torch.optim, or one like it, by its `_target_`; the learning rate is the
    model's, unless it is given here."""
    steps: int = 20
    """On one batch."""
    data_steps: int = 200
    """On labelled data."""
    budget_s: float = 40.0
    """Seconds of steps, after which there are no more; ten are taken in any case."""
    min_drop: float = 0.1
    """Share of the loss that has to go for the stage to pass."""

    def preloads(self) -> tuple[str, ...]:
        """Leave out what counts."""
        return (PLOTS,)

    def __post_init__(self) -> None:
        """Check the numbers, and that an optimizer is named as one."""
        super().__post_init__()
        positive("budget_s", self.budget_s)
        for name in ("steps", "data_steps"):
            if getattr(self, name) < 3:
                raise ValueError(f"{name}={getattr(self, name)}: expected 3 or more")
        if not 0 < self.min_drop < 1:
            raise ValueError(f"min_drop={self.min_drop}: expected more than 0 and less than 1")
        checked_optimizer(self.optimizer)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the losses and what the checks found; raises Skip with nothing to train."""
        from modelbench.stages.algorithm.plot import draw_training
        from modelbench.stages.algorithm.training import Training

        steps = self.steps if workload.data is None else self.data_steps
        training = Training(workload, context, self.optimizer, steps)
        training.learn(self.budget_s, self.min_drop)
        report = training.report
        for check in (training.leaks, training.repeat):
            try:
                check()
            except Exception as error:
                log.exception("%s", check.__name__)
                report.fail(f"{check.__name__}: {in_one_line(error)}")
        if "loss" in report.series:
            report.artifacts += draw_training(
                report.series["loss"], report.series["grad_norm"],
                report.details.get("expected_first_loss"), f"{workload.name}: training",
                context.directory,
            )  # fmt: skip
        return report
