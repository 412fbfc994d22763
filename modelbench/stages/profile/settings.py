"""Where the time goes: each phase by layer, kind of layer and operator, up to its latency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelbench.measurement.training.optimizer import adamw, checked_optimizer
from modelbench.results import Report
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


@dataclass(frozen=True)
class Profile(Stage):
    """Times every module of every phase, and finds why the slowest are slow."""

    timeout_s: float = 600.0
    budget_s: float = 3.0
    """Seconds of calls per phase, half of them watched."""
    phases: list[str] = field(default_factory=list)
    """The phases to profile; empty for all of the model's."""
    rows: int = 20
    """Layers and operators in tables and plots."""
    remedies: bool = True
    """Whether what would make the slowest layers faster is looked for, and tried."""
    remedies_s: float = 10.0
    """Seconds of that per phase, at most."""
    pictures: bool = True
    training: bool = False
    """Whether a training step is profiled as well."""
    optimizer: Any = field(default_factory=adamw)
    """Of the training step, as in the stage `algorithm`."""

    def __post_init__(self) -> None:
        """Check the numbers, and that an optimizer is named as one."""
        super().__post_init__()
        for name in ("budget_s", "rows", "remedies_s"):
            positive(name, getattr(self, name))
        checked_optimizer(self.optimizer)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the metrics of each phase; raises ValueError for a phase that is none."""
        from modelbench.stages.profile.session import Limits, Session

        unknown = [phase for phase in self.phases if phase not in workload.phases]
        if unknown:
            raise ValueError(
                f"test.profile.phases={self.phases}: {workload.name} has "
                f"{', '.join(workload.phases)}"
            )
        limits = Limits(
            self.budget_s, self.rows, self.remedies_s if self.remedies else None, self.pictures
        )
        session = Session(workload, context, limits)
        chosen = self.phases or workload.phases
        for at, phase in enumerate(chosen):
            rest = chosen[at + 1 :]
            session.profile(phase, {"phases": rest} if rest else {})
        if self.training:
            context.keep(session.report, "training", {})
            session.train(self.optimizer)
        return session.report
