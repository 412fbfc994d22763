"""How fast the model is: each phase's median with its interval, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelbench.results import Report
from modelbench.stages.stage import COUNTING, PLOTS, Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.stages.benchmark.sampled import Plan

CACHES = ("warm", "cold")
MOST_PROCESSES = 100


@dataclass(frozen=True)
class Benchmark(Stage):
    """Times every phase of the model, in inference mode."""

    timeout_s: float = 1800.0
    budget_s: float = 5.0
    """Seconds of samples per phase, at most."""
    precision: float = 0.01
    """Half width of the median's interval that is narrow enough, relative to the median."""
    min_samples: int = 30
    """Samples taken even when the interval is narrow, unless the budget ends first."""
    max_samples: int | None = None
    """Samples after which there are no more, however wide the interval is."""
    min_s: float = 1.0
    """Seconds of samples per phase, at least."""
    warmup_s: float = 0.5
    """Seconds of calls before the first sample, at least."""
    cache: str = "warm"
    """`cold`: the last-level cache is filled with something else before each sample."""
    batch_sizes: list[int] = field(default_factory=list)
    """Batch sizes of the throughput; empty for none."""
    prompt_lengths: list[int] = field(default_factory=list)
    """Lengths of the throughput of models of text alone; empty for none."""
    throughput_s: float = 0.3
    """Seconds of samples at each of these."""
    phases: list[str] = field(default_factory=list)
    """The phases to time; empty for all of the model's."""
    processes: int | None = None
    """Fresh processes that share the samples; None for as many as loading the model allows."""
    control: bool = True
    """Time fixed calculations beside the model, which tell how fast the machine is."""
    roofline: bool = True
    """Count what each phase computes and moves, and place it below the machine's peaks."""

    def __post_init__(self) -> None:
        """Check the rule that ends the sampling."""
        super().__post_init__()
        if self.processes is not None and not 1 <= self.processes <= MOST_PROCESSES:
            raise ValueError(f"processes={self.processes}: expected null, or 1 to {MOST_PROCESSES}")
        for name in ("budget_s", "min_samples", "precision", "throughput_s"):
            positive(name, getattr(self, name))
        if self.max_samples is not None and self.max_samples < self.min_samples:
            raise ValueError(
                f"max_samples={self.max_samples}: expected null, or min_samples "
                f"({self.min_samples}) or more"
            )
        if self.cache not in CACHES:
            raise ValueError(f"cache={self.cache}: expected {' or '.join(CACHES)}")
        for size in [*self.batch_sizes, *self.prompt_lengths]:
            positive("size", size)

    def preloads(self) -> tuple[str, ...]:
        """Leave out what only the roofline needs."""
        return (COUNTING, PLOTS) if self.roofline else (PLOTS,)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the metrics of each phase."""
        from modelbench.stages.benchmark.figures import summed_up
        from modelbench.stages.benchmark.sampling import sample_again
        from modelbench.stages.benchmark.session import Session

        plan = self._plan()
        if context.further is not None:
            left, earlier = context.further.processes - 1, context.further.earlier
            if left >= 0:
                sample_again(earlier, workload, context, plan)
            return summed_up(earlier, left, workload, context)
        unknown = [phase for phase in self.phases if phase not in workload.phases]
        if unknown:
            raise ValueError(
                f"test.benchmark.phases={self.phases}: {workload.name} has "
                f"{', '.join(workload.phases)}"
            )
        session = Session(workload, context, plan, self.phases or workload.phases)
        session.measure(roofline=self.roofline)
        sizes = {"batch_size": self.batch_sizes, "sequence_length": self.prompt_lengths}
        session.throughput(sizes)
        session.finish()
        return summed_up(session.found, session.processes - 1, workload, context)

    def _plan(self) -> Plan:
        from modelbench.measurement.timing.timing import Rule
        from modelbench.stages.benchmark.sampled import SPAWNED, USUAL, Plan
        from modelbench.system.forking import FORKS

        rule = Rule(
            self.budget_s, self.min_samples, self.min_s, self.warmup_s, self.precision,
            self.max_samples,
        )  # fmt: skip
        processes = self.processes or (USUAL if FORKS else SPAWNED)
        asked = self.processes is not None
        cold = self.cache == "cold"
        return Plan(rule, processes, asked, cold, self.control, self.throughput_s)
