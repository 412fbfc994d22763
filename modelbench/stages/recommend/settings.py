"""The fastest way to run the model within bounds, with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelbench.config.share import share
from modelbench.results import Report
from modelbench.stages.stage import PLOTS, Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

OBJECTIVES = ("latency", "throughput", "memory")


@dataclass(frozen=True)
class Recommend(Stage):
    """Searches runtimes, precisions, threads and layouts, and proves what it finds."""

    timeout_s: float = 3600.0
    runtimes: list[str] = field(
        default_factory=lambda: ["eager", "compile", "onnxruntime", "openvino"]
    )
    """Options of `runtime`."""
    precisions: list[str] = field(default_factory=lambda: ["fp32", "bf16", "int8"])
    """Options of `precision`."""
    phase: str | None = None
    """None for the model's first."""
    objective: str = "latency"
    """What is to be best: `latency`, `throughput`, or `memory`, the size of the files."""
    min_sqnr_db: float = 20.0
    """The least fidelity to single precision."""
    max_drop: str | float | None = None
    """With `data`, the most that accuracy, or perplexity relatively, may lose."""
    max_mib: float | None = None
    """The most that the deployed files may take."""
    max_latency_ms: float | None = None
    batch_sizes: list[int] = field(default_factory=list)
    """Batch sizes to search over as well; empty for the workload's own."""
    budget_s: float = 240.0
    """Seconds of the search."""
    exhaustive: bool = False
    """Whether every combination is tried to the end."""
    prove_s: float = 10.0
    """Seconds of samples of the chosen one, interleaved with the default."""
    export: str | None = None
    """A folder that is made, for the chosen artifact and a script that runs it."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        super().__post_init__()
        for name in ("budget_s", "prove_s"):
            positive(name, getattr(self, name))
        for name in ("max_mib", "max_latency_ms"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective={self.objective}: expected {', '.join(OBJECTIVES)}")
        if self.max_drop is not None:
            share(self.max_drop, "max_drop")
        if not self.runtimes or not self.precisions:
            raise ValueError("runtimes and precisions: expected one or more of each")
        if any(size < 1 for size in self.batch_sizes):
            raise ValueError(f"batch_sizes={self.batch_sizes}: expected sizes of 1 or more")
        if self.export is not None and Path(self.export).exists():
            raise ValueError(f"export={self.export}: it exists; expected a folder to be made")

    def preloads(self) -> tuple[str, ...]:
        """Leave out what counts."""
        return (PLOTS,)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return what is recommended; raises ValueError for a phase that is none."""
        from modelbench.stages.recommend.bounds import Bounds
        from modelbench.stages.recommend.session import Plan, Session

        if self.phase is not None and self.phase not in workload.phases:
            raise ValueError(
                f"test.recommend.phase={self.phase}: {workload.name} has "
                f"{', '.join(workload.phases)}"
            )
        drop = None if self.max_drop is None else share(self.max_drop, "max_drop")
        bounds = Bounds(self.min_sqnr_db, drop, self.max_mib, self.max_latency_ms)
        plan = Plan(
            self.phase or workload.phases[0], self.objective, self.budget_s, self.prove_s,
            self.timeout_s, self.exhaustive, None if self.export is None else Path(self.export),
        )  # fmt: skip
        session = Session(workload, context, bounds, plan)
        try:
            session.search(self.runtimes, self.precisions, self.batch_sizes)
            return session.finish()
        finally:
            session.close()
