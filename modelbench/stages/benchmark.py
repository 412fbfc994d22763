"""How fast the model is: each phase's median with its interval, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from modelbench.results import Metric, Report, Skip
from modelbench.stages.samples import add_samples, draw_samples
from modelbench.stages.stage import Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.measure.roofline import Place
    from modelbench.workload import Workload

CACHES = ("warm", "cold")
QUICK_S = 5.0
"""Seconds of a call that is made once more to count it."""


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
    throughput_s: float = 1.0
    """Seconds of samples at each of these."""
    phases: list[str] = field(default_factory=list)
    """The phases to time; empty for all of the model's."""
    roofline: bool = True
    """Count what each phase computes and moves, and place it below the machine's peaks."""

    def __post_init__(self) -> None:
        """Check the rule that ends the sampling."""
        super().__post_init__()
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

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Give the metrics of each phase."""
        from modelbench.environment import state
        from modelbench.measure.audit import of_threads

        unknown = [phase for phase in self.phases if phase not in workload.phases]
        if unknown:
            raise ValueError(
                f"test.benchmark.phases={self.phases}: {workload.name} has "
                f"{', '.join(workload.phases)}"
            )
        session = _Session(self, workload, context)
        report = session.report
        for phase in session.phases:
            session.measure(phase)
        session.throughput()
        session.draw()
        report.details["state"] = state(context.device)
        report.warnings += of_threads(report.details["state"]["torch_threads"])
        how = f"eval mode under inference_mode, end to end, last-level cache {self.cache}"
        report.notes.append(f"timed in {how}")
        return report


class _Session:
    """One model, loaded and measured phase by phase."""

    def __init__(self, settings: Benchmark, workload: Workload, context: Context) -> None:
        from modelbench.measure.timing import Rule

        self.report, self._settings = Report(), settings
        self._workload, self._context = workload, context
        self.phases = settings.phases or workload.phases
        self._rule = Rule(
            settings.budget_s, settings.min_samples, settings.min_s, settings.warmup_s,
            settings.precision, settings.max_samples,
        )  # fmt: skip
        self._places: dict[str, Place] = {}
        context.say("loading the model")
        start = perf_counter()
        self._shipped = workload.ship()
        self._model = self._shipped.model
        self.report.metric("load_s", perf_counter() - start, "s")
        self.report.notes += [f"the precision {note}" for note in self._shipped.notes]
        self._batch = self._shipped.batch(workload.batch())

    def measure(self, phase: str) -> None:
        """Time one phase under watch, and tell what bounds it."""
        from modelbench.measure.audit import Snapshot, findings, of_samples
        from modelbench.measure.statistics import Statistics
        from modelbench.measure.timing import time_call
        from modelbench.precision.compiling import compiled

        report, device = self.report, self._context.device
        try:
            call = self._workload.phase(phase, self._model, self._batch)
        except Skip as skip:
            report.notes.append(f"{phase} left out: {skip}")
            return
        if self._shipped.compiles:  # what that takes is no latency
            self._context.say(f"compiling {phase}")
            report.metric(f"{phase}/compile_s", compiled(call), "s")
        self._context.say(f"timing {phase}, at most {self._settings.budget_s:g} s")
        before = Snapshot.take(device)
        timing = time_call(call, self._rule, device, cold=self._settings.cache == "cold")
        disturbed = findings(before, Snapshot.take(device))
        if "first_call_ms" not in report.metrics:
            first_ms = report.metrics.get(f"{phase}/compile_s", Metric(0.0, "s")).value * 1e3
            report.metric("first_call_ms", first_ms or timing.warmup_ms[0], "ms")
        found = Statistics.of(timing.samples_ms)
        add_samples(report, phase, timing, found)
        items = self._workload.axes.get("batch_size", 1)
        report.metric(f"{phase}/items_per_s", items / found.median * 1e3, "1/s")
        # What only the phase can tell, such as time to first token, or show, such as an image.
        if hasattr(call, "figures"):
            for name, metric in call.figures(len(timing.samples_ms)).items():
                report.metric(f"{phase}/{name}", metric.value, metric.unit)
        if hasattr(call, "save"):
            report.artifacts += call.save(self._context.directory)
        audit = [*disturbed, *of_samples(timing.samples_ms, found)]
        report.details[phase]["audit"] = audit
        report.warnings += [f"{phase}: {finding}" for finding in audit]
        if self._settings.roofline and not self._shipped.quantized:
            self._context.say(f"counting what {phase} computes and moves")
            self._place(phase, found.median / 1e3)

    def _place(self, phase: str, seconds: float) -> None:
        """Count a phase's MACs and bytes and place it on the roofline."""
        import torch

        from modelbench.measure.counting import count_phase
        from modelbench.measure.peaks import peaks
        from modelbench.measure.roofline import Place

        report, device = self.report, self._context.device
        prepare, dtype = partial(self._workload.phase, phase), self._shipped.dtype
        with torch.compiler.set_stance("force_eager"):  # what was compiled hides its operations
            cost = count_phase(prepare, self._model, self._batch, quick=seconds < QUICK_S)
        if cost is None or not cost.total:
            report.notes.append(f"{phase}: its MACs are not known, nor is its share of the peak")
            return
        place = Place(cost.total, cost.bytes, seconds, peaks(device, dtype))
        if place.mfu > 1:  # the peak was measured at a bad moment, or we have counted wrongly
            afresh = peaks(device, dtype, afresh=True)
            place = Place(cost.total, cost.bytes, seconds, afresh)
        self._places[phase] = place
        if place.peaks.disturbed:
            why = "; ".join(place.peaks.disturbed)
            report.warnings.append(f"{phase}: the machine's peaks are too low, since {why}")
        report.metric(f"{phase}/macs_g", cost.total / 1e9, "GMACs")
        report.metric(f"{phase}/moved_mb", cost.bytes / 1e6, "MB")
        report.metric(f"{phase}/mfu", place.mfu, "share")
        report.metric(f"{phase}/bandwidth", place.bandwidth, "share")
        report.details[phase]["bound"] = place.bound
        if place.mfu > 1 and not place.peaks.disturbed:
            report.failure = (
                f"{phase}: {place.mfu:.2f} times the attainable rate of MACs, which cannot be: an "
                "error in our counting; please report it"
            )

    def throughput(self) -> None:
        """Time growing batches, and growing prompts of a model of text alone."""
        axes, settings = self._workload.axes, self._settings
        if "batch_size" in axes:
            for phase in self.phases:
                self._grow(phase, "batch_size", settings.batch_sizes)
        if "sequence_length" in axes and "image_size" not in axes:
            self._grow(self.phases[0], "sequence_length", settings.prompt_lengths)

    def _grow(self, phase: str, axis: str, wanted: list[int]) -> None:
        """Add the throughput of one phase over sizes of an axis."""
        from modelbench.measure.throughput import brief, grow

        workload, report = self._workload, self.report
        kind, unit = ("batch", "items") if axis == "batch_size" else ("prompt", "tokens")
        sizes = [size for size in wanted if workload.takes(axis, size)]
        if not sizes:
            return
        usual = report.metrics.get(f"{phase}/p50_ms")
        if usual is not None and usual.value > self._settings.throughput_s * 1e3:
            report.notes.append(
                f"{phase}: a call takes {usual.value / 1e3:.1f} s, too long to try sizes of {axis} "
                "within test.benchmark.throughput_s"
            )
            return
        if self._shipped.fixed_sizes or self._shipped.compiles:
            report.notes.append(f"{phase}: in this precision made for one size, not over {axis}")
            return
        self._context.say(f"throughput of {phase} over {axis}")
        repeated = 1 if axis == "batch_size" else workload.axes.get("batch_size", 1)
        try:
            found = grow(
                lambda size: workload.phase(
                    phase, self._model, self._shipped.batch(workload.batch(**{axis: size}))
                ),
                sizes,
                repeated,
                brief(self._rule, self._settings.throughput_s),
                self._context.device,
            )
        except Skip:  # said already, where the phase was left out
            return
        report.curves[f"{phase}/{kind}_{unit}_per_s"] = {p.size: p.rate for p in found.points}
        report.curves[f"{phase}/{kind}_p50_ms"] = {p.size: p.p50_ms for p in found.points}
        rates = ", ".join(f"{p.rate:,.4g} at {p.size}" for p in found.points)
        ended = f" ({found.ended})" if found.ended else ""
        report.notes.append(f"{phase}: {unit}/s over {axis}: {rates or 'none'}{ended}")
        if found.knee and len(found.points) > 1:
            report.metric(f"{phase}/{kind}_knee", found.knee.size, "count")
            report.metric(f"{phase}/{kind}_knee_p50_ms", found.knee.p50_ms, "ms")

    def draw(self) -> None:
        """Draw the samples, and the roofline with the phases below it."""
        from modelbench.plots.roofline import roofline

        draw_samples(self.report, self._workload.name, self._context.directory)
        if not self._places:
            return
        bounds = ", ".join(f"{phase} by {place.bound}" for phase, place in self._places.items())
        self.report.notes.append(f"bound: {bounds}")
        self.report.artifacts += roofline(
            self._places, f"{self._workload.name}: roofline", self._context.directory
        )
