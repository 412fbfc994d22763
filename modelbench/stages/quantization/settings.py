"""What lower precision costs and gains: size, speed, how much of the model it reached, fidelity."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from modelbench.results import Report, Skip
from modelbench.results.attempts import in_one_line
from modelbench.stages.quantization.comparison import Comparison
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

log = logging.getLogger(__name__)

SHARE = 0.9
"""Of the stage's time limit, after which nothing new is begun."""


@dataclass(frozen=True)
class Quantization(Stage):
    """Ships the model in each scheme and holds it against single precision, on the same input."""

    timeout_s: float = 600.0
    schemes: list[str] = field(default_factory=lambda: ["fp32_compiled", "fp16", "bf16", "int8"])
    """Options of `precision`."""
    budget_s: float = 2.0
    """Seconds of samples per scheme, interleaved with single precision."""

    def __post_init__(self) -> None:
        """Check the budget."""
        super().__post_init__()
        positive("budget_s", self.budget_s)
        if not self.schemes:
            raise ValueError("schemes=[]: expected one or more options of precision")

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the metrics of each scheme; raises Skip where none applies."""
        from modelbench.stages.quantization.plot import draw_quantization

        until = perf_counter() + SHARE * self.timeout_s
        comparison = Comparison(workload, context, self.budget_s, until)
        comparison.baseline()
        names = [n for n in self.schemes if context.schemes[n] is not None]  # all but fp32
        for at, name in enumerate(names):
            rest = names[at + 1 :]
            context.keep(comparison.report, name, {"schemes": rest} if rest else {})
            try:
                comparison.add(name, context.schemes[name])
            except Exception as error:  # compilers and exporters raise all kinds
                log.exception("scheme %s", name)
                comparison.report.fail(f"{name}: {in_one_line(error)}")
        if comparison.left_out and not (comparison.reached or comparison.report.failure):
            raise Skip("; ".join(f"{n}: {why}" for n, why in comparison.left_out.items()))
        report = comparison.report
        figures: dict[str, dict[str, float]] = {}
        for name, metric in report.metrics.items():
            scheme, _, short = name.partition("/")
            figures.setdefault(scheme, {})[short] = metric.value
        title = f"{workload.name}: size, fidelity and speed"
        report.artifacts += draw_quantization(figures, title, context.directory)
        return report
