"""One model, loaded and measured phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from modelbench.measurement.timing.audit import Snapshot, findings, of_samples, of_threads
from modelbench.measurement.timing.kernels import kernels_ms
from modelbench.measurement.timing.statistics import Statistics
from modelbench.measurement.timing.throughput import brief
from modelbench.measurement.timing.timing import Rule, Timing, time_call
from modelbench.precision.compiling import compiled
from modelbench.precision.convert import convert
from modelbench.results import Metric, Report, Skip
from modelbench.stages.benchmark.growth import Throughput
from modelbench.stages.benchmark.placement import Placement
from modelbench.stages.benchmark.samples import add_samples, draw_samples
from modelbench.stages.part import part
from modelbench.stages.stage import Context
from modelbench.system.environment import state

if TYPE_CHECKING:
    from modelbench.models.workload import Phase, Workload

BUSY = 0.8
"""Share of a call below which the time of its kernels is reported to be little."""


class Session:
    """One model, loaded once, and what was found of it."""

    def __init__(
        self, workload: Workload, context: Context, rule: Rule, phases: Sequence[str],
        *, cold: bool,
    ) -> None:  # fmt: skip
        """Load the model; with `cold` the last-level cache is filled before each sample."""
        self.report, self._rule, self._cold = Report(), rule, cold
        self._workload, self._context, self._phases = workload, context, list(phases)
        context.say("loading the model")
        start = perf_counter()
        self._converted = convert(workload)
        self._model = self._converted.model
        self.report.metric("load_s", perf_counter() - start, "s")
        self.report.notes += [f"the precision {note}" for note in self._converted.notes]
        self._batch = self._converted.batch(workload.batch())
        self._placement: Placement | None = None
        self._part = partial(part, self.report, workload=workload)

    def measure(self, *, roofline: bool) -> None:
        """Time each phase and find what bounds it; one that raises loses no other."""
        if roofline and not self._converted.quantized:
            self._placement = Placement(self._workload, self._converted, self._batch)
        for at, phase in enumerate(self._phases):
            rest = self._phases[at + 1 :]
            self._context.keep(self.report, phase, {"phases": rest} if rest else {})
            with self._part(phase):
                self._measure(phase)
        self._context.keep(self.report, "throughput", {})

    def _measure(self, phase: str) -> None:
        report = self.report
        try:
            call = self._workload.phase(phase, self._model, self._batch)
        except Skip as skip:
            report.notes.append(f"{phase} skipped: {skip}")
            return
        if self._converted.compiles:  # what that takes is no latency
            self._context.say(f"compiling {phase}")
            report.metric(f"{phase}/compile_s", compiled(call), "s")
        timing, found = self._timed(phase, call)
        self._own_figures(phase, call, len(timing.samples_ms))
        if timing.stream_ms:
            with self._part(f"{phase}, kernel times"):
                self._kernels(phase, call, found.median)
        if self._placement is not None:
            self._context.say(f"counting MACs and bytes moved of {phase}")
            with self._part(f"{phase}, share of the peak"):
                self._placement.add(report, phase, found.median / 1e3)

    def _timed(self, phase: str, call: Phase) -> tuple[Timing, Statistics]:
        """Take the samples, with an audit of what disturbed them."""
        report, device = self.report, self._context.device
        self._context.say(f"timing {phase}, at most {self._rule.budget_s:g} s")
        before = Snapshot.take(device)
        timing = time_call(call, self._rule, device, cold=self._cold)
        disturbed = findings(before, Snapshot.take(device))
        if "first_call_ms" not in report.metrics:
            first_ms = report.metrics.get(f"{phase}/compile_s", Metric(0.0, "s")).value * 1e3
            report.metric("first_call_ms", first_ms or timing.warmup_ms[0], "ms")
        found = Statistics.of(timing.samples_ms)
        add_samples(report, phase, timing, found)
        items = self._workload.axes.get("batch_size", 1)
        report.metric(f"{phase}/items_per_s", items / found.median * 1e3, "1/s")
        audit = [*disturbed, *of_samples(timing.samples_ms, found)]
        report.details[phase]["audit"] = audit
        report.warnings += [f"{phase}: {finding}" for finding in audit]
        return timing, found

    def _own_figures(self, phase: str, call: Phase, samples: int) -> None:
        """Add what only the phase can tell, such as time to first token, or show: an image."""
        report = self.report
        if hasattr(call, "figures"):
            with self._part(f"{phase}, its own metrics"):
                for name, metric in call.figures(samples).items():
                    report.metric(f"{phase}/{name}", metric.value, metric.unit)
        if hasattr(call, "save"):
            with self._part(f"{phase}, saving its output"):
                report.artifacts += call.save(self._context.directory)
        report.details[phase] |= getattr(call, "details", {})
        report.notes += [f"{phase}: {note}" for note in getattr(call, "notes", ())]

    def _kernels(self, phase: str, call: Phase, median_ms: float) -> None:
        """Add the kernels' own time, and how much of the call the device waited for launches."""
        spent = kernels_ms(call, self._context.device)
        if spent is None:
            return
        self.report.metric(f"{phase}/kernels_ms", spent, "ms")
        if spent < BUSY * median_ms:
            self.report.notes.append(
                f"{phase}: kernels run for {spent / median_ms:.0%} of the time; otherwise the "
                "device waits for launches from the CPU (try larger batches, or torch.compile)"
            )

    def throughput(self, sizes: Mapping[str, Sequence[int]], seconds: float) -> None:
        """Time growing batches, and growing prompts of a model of text alone.

        `sizes` has those of `batch_size` and of `sequence_length`; each is timed for `seconds`.
        """
        axes, converted = self._workload.axes, self._converted
        one = converted.fixed_sizes or converted.compiles
        only = "in this precision the sizes are fixed" if one else None
        rule = brief(self._rule, seconds)
        found = Throughput(self._workload, self._context, self._model, converted.batch, rule, only)
        wanted = [(phase, "batch_size") for phase in self._phases]
        if "image_size" not in axes:
            wanted.append((self._phases[0], "sequence_length"))
        for phase, axis in wanted:
            if axis in axes and sizes[axis]:
                with self._part(f"{phase}, throughput over {axis}"):
                    found.grow(self.report, phase, axis, list(sizes[axis]))

    def finish(self) -> None:
        """Draw the samples and the roofline; add in which state the machine was."""
        report, context, name = self.report, self._context, self._workload.name
        with self._part("plots"):
            draw_samples(report, name, context.directory)
        if self._placement is not None:
            with self._part("roofline plot"):
                self._placement.draw(report, name, context.directory)
        report.details["state"] = state(context.device)
        report.warnings += of_threads(report.details["state"]["torch_threads"])
        cache = "cold" if self._cold else "warm"
        report.notes.append(
            f"timed in eval mode under inference_mode, end to end, last-level cache {cache}"
        )
