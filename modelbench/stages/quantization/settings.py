"""What lower precision costs and gains: size, speed, how much of the model it reached, fidelity."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from modelbench.config.share import share
from modelbench.results import Further, Report, Skip
from modelbench.results.attempts import in_one_line
from modelbench.stages.part import part
from modelbench.stages.quantization.comparison import Comparison
from modelbench.stages.quantization.limits import Limits, interleaved
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.stages.quantization.timed import Timed

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

    processes: int = 3
    """Fresh processes that share the samples of schemes that are converted quickly."""
    max_drop: str | float = "1%"
    """What a scheme may lose with `data`: of accuracy, or of perplexity relatively."""

    def __post_init__(self) -> None:
        """Check the budget."""
        super().__post_init__()
        positive("budget_s", self.budget_s)
        positive("processes", self.processes)
        share(self.max_drop, "max_drop")
        if not self.schemes:
            raise ValueError("schemes=[]: expected one or more options of precision")

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Return the metrics of each scheme; raises Skip where none applies."""
        if context.further is not None:
            timed, left = context.further.earlier, context.further.processes - 1
            if left >= 0:
                self._again(timed, workload, context)
        else:
            timed, left = self._compared(workload, context), self.processes - 1
        report: Report = timed.with_speeds()
        if left > 0 and timed.shared:
            report.further = Further(left, timed)
        else:
            with part(report, "plots", workload):
                self._draw(report, workload.name, context)
        return report

    def _compared(self, workload: Workload, context: Context) -> Timed:
        """Hold each scheme against single precision, in the first process."""
        until = perf_counter() + SHARE * self.timeout_s
        limits = Limits(self.budget_s, self.processes, share(self.max_drop, "max_drop"))
        comparison = Comparison(workload, context, limits, until)
        comparison.baseline()
        names = [n for n in self.schemes if context.schemes[n] is not None]  # all but fp32
        for at, name in enumerate(names):
            rest = {"schemes": names[at + 1 :], "processes": 1} if names[at + 1 :] else {}
            context.keep(comparison.timed.with_speeds(), name, rest)
            try:
                comparison.add(name, context.schemes[name])
            except Exception as error:  # compilers and exporters raise all kinds
                log.exception("scheme %s", name)
                comparison.report.fail(f"{name}: {in_one_line(error)}")
        if comparison.left_out and not (comparison.reached or comparison.report.failure):
            raise Skip("; ".join(f"{n}: {why}" for n, why in comparison.left_out.items()))
        return comparison.timed

    def _again(self, timed: Timed, workload: Workload, context: Context) -> None:
        """Time in a further process what is converted quickly."""
        from hydra.utils import instantiate

        from modelbench.measurement.timing.pairing import compare

        model, batch = workload.build(), workload.batch()
        for name in timed.shared:
            context.say(f"{name}: timing interleaved with fp32")
            scheme = instantiate(context.schemes[name], _convert_="all")
            converted = scheme.convert(workload, phases=False)
            first = partial(batch.call, model)
            second = partial(converted.batch(batch).call, converted.model)
            pairs = interleaved(self.budget_s / self.processes)
            timed.schemes[name].append(compare(first, second, pairs, context.device))

    def _draw(self, report: Report, model: str, context: Context) -> None:
        from modelbench.stages.quantization.plot import draw_quantization

        figures: dict[str, dict[str, float]] = {}
        for name, metric in report.metrics.items():
            scheme, _, short = name.partition("/")
            if f"{scheme}/size_mib" in report.metrics:  # else it is none
                figures.setdefault(scheme, {})[short] = metric.value
        title = f"{model}: size, fidelity and speed"
        report.artifacts += draw_quantization(figures, title, context.directory)
