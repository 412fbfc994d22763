"""How fast the model is: each phase's median with its interval, loading and the first call."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from modelbench.results import Report, Skip
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.measure.timing import Timing
    from modelbench.workload import Workload

MODE = "eval mode under inference_mode, end to end, with the garbage collector off"


@dataclass(frozen=True)
class Benchmark(Stage):
    """Times every phase of the model, in inference mode."""

    timeout_s: float = 900.0
    budget_s: float = 20.0
    """Seconds of samples per phase, at most."""
    min_samples: int = 30
    """Samples taken even when `min_s` is over, unless the budget ends first."""
    min_s: float = 2.0
    """Seconds of samples per phase, at least."""
    warmup_s: float = 0.5
    """Seconds of calls before the first sample, at least."""

    def __post_init__(self) -> None:
        """Check the rule that ends the sampling."""
        super().__post_init__()
        positive("budget_s", self.budget_s)
        positive("min_samples", self.min_samples)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Give the metrics of each phase."""
        from modelbench.measure.timing import Rule, time_call

        report = Report()
        context.say("loading the model")
        start = perf_counter()
        model = workload.build()
        report.metric("load_s", perf_counter() - start, "s")
        batch = workload.batch()
        rule = Rule(self.budget_s, self.min_samples, self.min_s, self.warmup_s)
        for phase in workload.phases:
            context.say(f"timing {phase}, at most {self.budget_s:g} s")
            try:
                call = workload.phase(phase, model, batch)
            except Skip as skip:
                report.notes.append(f"{phase} left out: {skip}")
                continue
            timing = time_call(call, rule, context.device)
            if "first_call_ms" not in report.metrics:
                report.metric("first_call_ms", timing.first_call_ms, "ms")
            _add(report, phase, timing, workload.axes.get("batch_size", 1))
            # What only the phase can tell, such as time to first token, or show, such as an image.
            if hasattr(call, "figures"):
                for name, metric in call.figures(len(timing.samples_ms)).items():
                    report.metric(f"{phase}/{name}", metric.value, metric.unit)
            if hasattr(call, "save"):
                report.artifacts += call.save(context.directory)
            if not timing.complete:
                count = len(timing.samples_ms)
                samples = f"{count} sample{'s' * (count > 1)}"
                report.warnings.append(
                    f"{phase}: {samples} in {self.budget_s:g} s, fewer than {self.min_samples}; "
                    "for a narrower interval raise test.benchmark.budget_s"
                )
        report.details["mode"] = MODE
        report.notes.append(f"timed in {MODE}")
        return report


def _add(report: Report, phase: str, timing: Timing, items: int) -> None:
    """Add what the samples of one phase carry; `items` is how many a call works on."""
    from modelbench.measure.statistics import Statistics

    found = Statistics.of(timing.samples_ms)
    report.metric(f"{phase}/p50_ms", found.median, "ms")
    if found.interval:
        report.metric(f"{phase}/ci95_low_ms", found.interval[0], "ms")
        report.metric(f"{phase}/ci95_high_ms", found.interval[1], "ms")
    report.metric(f"{phase}/mean_ms", found.mean, "ms")
    if found.deviation is not None:
        report.metric(f"{phase}/std_ms", found.deviation, "ms")
    for percentile, value in found.percentiles.items():
        report.metric(f"{phase}/p{percentile}_ms", value, "ms")
    report.metric(f"{phase}/samples", found.samples, "count")
    report.metric(f"{phase}/items_per_s", items / found.median * 1e3, "1/s")
    report.series[f"{phase}/samples_ms"] = timing.samples_ms
    report.details[f"{phase}_warmup_calls"] = timing.warmup_calls
