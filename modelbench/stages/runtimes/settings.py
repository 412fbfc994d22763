"""Which runtime runs the model fastest, and whether it still computes the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelbench.results import Report
from modelbench.stages.stage import PLOTS, Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


@dataclass(frozen=True)
class Runtimes(Stage):
    """Holds each runtime against eager PyTorch on the same input, each in a process of its own."""

    timeout_s: float = 1800.0
    runtimes: list[str] = field(
        default_factory=lambda: ["compile", "aoti", "onnxruntime", "openvino"]
    )
    """Options of `runtime`."""
    phases: list[str] = field(default_factory=list)
    """The phases to run; empty for the model's first."""
    budget_s: float = 4.0
    """Seconds of samples per runtime and phase, half of them eager."""
    samples: int = 4
    """Inputs whose outputs are compared."""
    min_sqnr_db: float = 60.0
    """Fidelity to eager PyTorch below which a runtime has failed; in single precision."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        positive("budget_s", self.budget_s)
        positive("samples", self.samples)
        if not set(self.runtimes) - {"eager"}:
            raise ValueError(
                f"runtimes={self.runtimes}: expected one or more options of runtime besides eager"
            )

    def preloads(self) -> tuple[str, ...]:
        """Leave out what counts."""
        return (PLOTS,)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the metrics of each runtime; raises ValueError for a phase that is none."""
        from modelbench.stages.runtimes.session import Limits, Session

        unknown = [phase for phase in self.phases if phase not in workload.phases]
        if unknown:
            raise ValueError(
                f"test.runtimes.phases={self.phases}: {workload.name} has "
                f"{', '.join(workload.phases)}"
            )
        limits = Limits(self.budget_s, self.samples, self.min_sqnr_db, self.timeout_s)
        chosen = {n: context.runtimes[n] for n in self.runtimes if context.runtimes[n] is not None}
        phases = self.phases or workload.phases[:1]
        session = Session(workload, context, limits, phases, chosen)
        try:
            session.eager()
            for name in chosen:
                session.add(name)
            return session.finish()
        finally:
            session.close()
