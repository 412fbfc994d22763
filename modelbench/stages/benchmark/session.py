"""How fast the model is: each phase's median with its interval, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from modelbench.results import Metric, Report, Skip
from modelbench.stages.benchmark.samples import add_samples, draw_samples
from modelbench.stages.part import part
from modelbench.stages.stage import COUNTING, PLOTS, Context, Stage, positive

if TYPE_CHECKING:
    from modelbench.measurement.compute.roofline import Place
    from modelbench.models.workload import Phase, Workload

CACHES = ("warm", "cold")
BUSY = 0.8
"""Share of a call below which the time of its kernels is told to be little."""
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

    def preloads(self) -> tuple[str, ...]:
        """Leave out what only the roofline needs."""
        return (COUNTING, PLOTS) if self.roofline else (PLOTS,)

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Give the metrics of each phase."""
        from modelbench.measurement.timing.audit import of_threads
        from modelbench.system.environment import state

        unknown = [phase for phase in self.phases if phase not in workload.phases]
        if unknown:
            raise ValueError(
                f"test.benchmark.phases={self.phases}: {workload.name} has "
                f"{', '.join(workload.phases)}"
            )
        session = _Session(self, workload, context)
        report = session.report
        for at, phase in enumerate(session.phases):
            rest = session.phases[at + 1 :]
            context.keep(report, phase, {"phases": rest} if rest else {})
            session.measure(phase)
        context.keep(report, "throughput", {})
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
        from modelbench.measurement.timing.timing import Rule

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

        self._part = partial(part, self.report, workload=workload)

    def measure(self, phase: str) -> None:
        """Time one phase and tell what bounds it; one that raises loses no other."""
        with self._part(phase):
            self._measure(phase)

    def _measure(self, phase: str) -> None:
        from modelbench.measurement.timing.audit import Snapshot, findings, of_samples
        from modelbench.measurement.timing.statistics import Statistics
        from modelbench.measurement.timing.timing import time_call
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
            with self._part(f"{phase}, its own figures"):
                for name, metric in call.figures(len(timing.samples_ms)).items():
                    report.metric(f"{phase}/{name}", metric.value, metric.unit)
        if hasattr(call, "save"):
            with self._part(f"{phase}, saving what it made"):
                report.artifacts += call.save(self._context.directory)
        if timing.stream_ms:
            with self._part(f"{phase}, its kernels"):
                self._kernels(phase, call, found.median)
        report.details[phase] |= getattr(call, "details", {})
        report.notes += [f"{phase}: {note}" for note in getattr(call, "notes", ())]
        audit = [*disturbed, *of_samples(timing.samples_ms, found)]
        report.details[phase]["audit"] = audit
        report.warnings += [f"{phase}: {finding}" for finding in audit]
        if self._settings.roofline and not self._shipped.quantized:
            self._context.say(f"counting what {phase} computes and moves")
            with self._part(f"{phase}, its share of the peak"):
                self._place(phase, found.median / 1e3)

    def _kernels(self, phase: str, call: Phase, median_ms: float) -> None:
        """Tell the kernels' own time, and how much of the call the device waited for launches."""
        from modelbench.measurement.timing.kernels import kernels_ms

        spent = kernels_ms(call, self._context.device)
        if spent is None:
            return
        self.report.metric(f"{phase}/kernels_ms", spent, "ms")
        if spent < BUSY * median_ms:
            self.report.notes.append(
                f"{phase}: kernels run for {spent / median_ms:.0%} of the time; for the rest the "
                "device waits for the CPU to launch them (larger batches, or torch.compile)"
            )

    def _place(self, phase: str, seconds: float) -> None:
        """Count a phase's MACs and bytes and place it on the roofline."""
        import torch

        from modelbench.measurement.compute.counting import count_phase
        from modelbench.measurement.compute.peaks import peaks
        from modelbench.measurement.compute.roofline import Place

        report, device = self.report, self._context.device
        prepare, dtype = partial(self._workload.phase, phase), self._shipped.dtype
        with torch.compiler.set_stance("force_eager"):  # what was compiled hides its operations
            cost = count_phase(prepare, self._model, self._batch, quick=seconds < QUICK_S)
        if cost is None:
            report.notes.append(f"{phase}: its MACs are not known, nor is its share of the peak")
            return
        report.metric(f"{phase}/macs_g", cost.total / 1e9, "GMACs")
        report.metric(f"{phase}/moved_mb", cost.bytes / 1e6, "MB")
        if cost.uncounted:
            left_out = ", ".join(cost.uncounted)
            report.notes.append(f"{phase}: its MACs and its share of the peak leave out {left_out}")
        if not cost.total:
            report.notes.append(f"{phase}: no MAC was counted, so it has no share of the peak")
            return
        place = Place(cost.total, cost.bytes, seconds, peaks(device, dtype))
        if place.mfu > 1:  # the peak was measured at a bad moment, or we have counted wrongly
            afresh = peaks(device, dtype, afresh=True)
            place = Place(cost.total, cost.bytes, seconds, afresh)
        self._places[phase] = place
        if place.peaks.disturbed:
            why = "; ".join(place.peaks.disturbed)
            report.warnings.append(f"{phase}: the machine's peaks are too low, since {why}")
        report.metric(f"{phase}/mfu", place.mfu, "share")
        report.metric(f"{phase}/bandwidth", place.bandwidth, "share")
        report.details[phase]["bound"] = place.bound
        if place.mfu > 1 and not place.peaks.disturbed:
            report.fail(
                f"{phase}: {place.mfu:.2f} times the attainable rate of MACs, which cannot be: an "
                "error in our counting; please report it"
            )

    def throughput(self) -> None:
        """Time growing batches, and growing prompts of a model of text alone."""
        from modelbench.measurement.timing.throughput import brief
        from modelbench.stages.benchmark.growth import Throughput

        axes, settings, shipped = self._workload.axes, self._settings, self._shipped
        rule = brief(self._rule, settings.throughput_s)
        one = shipped.fixed_sizes or shipped.compiles
        only = "in this precision made for one size" if one else None
        found = Throughput(self._workload, self._context, self._model, shipped.batch, rule, only)
        wanted = [(phase, "batch_size", settings.batch_sizes) for phase in self.phases]
        if "image_size" not in axes:
            wanted.append((self.phases[0], "sequence_length", settings.prompt_lengths))
        for phase, axis, sizes in wanted:
            if axis in axes:
                with self._part(f"{phase}, throughput over {axis}"):
                    found.grow(self.report, phase, axis, sizes)

    def draw(self) -> None:
        """Draw the samples, and the roofline with the phases below it."""
        with self._part("plots"):
            draw_samples(self.report, self._workload.name, self._context.directory)
        with self._part("plot of the roofline"):
            self._draw_roofline()

    def _draw_roofline(self) -> None:
        from modelbench.stages.benchmark.plot_roofline import roofline

        if not self._places:
            return
        bounds = ", ".join(f"{phase} by {place.bound}" for phase, place in self._places.items())
        self.report.notes.append(f"bound: {bounds}")
        self.report.artifacts += roofline(
            self._places, f"{self._workload.name}: roofline", self._context.directory
        )
