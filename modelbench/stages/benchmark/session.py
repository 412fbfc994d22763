"""One model, loaded and measured phase by phase."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from modelbench.measurement.compute.peaks import fingerprint
from modelbench.measurement.timing.audit import of_threads
from modelbench.measurement.timing.kernels import kernels_ms
from modelbench.measurement.timing.statistics import Statistics
from modelbench.measurement.timing.throughput import brief
from modelbench.results import Report, Skip
from modelbench.runtimes.deploy import deploy, prepared
from modelbench.stages.benchmark.figures import add_figures
from modelbench.stages.benchmark.growth import Throughput
from modelbench.stages.benchmark.placement import Placement
from modelbench.stages.benchmark.sampled import Earlier, Plan, Sampled
from modelbench.stages.benchmark.sampling import EXPORTED, Sampling
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
        self, workload: Workload, context: Context, plan: Plan, phases: Sequence[str]
    ) -> None:
        """Load the model."""
        self.report = Report()
        self._workload, self._context, self._phases = workload, context, list(phases)
        context.say("loading the model")
        # Of an earlier run that was killed: the code may be other code now.
        shutil.rmtree(context.directory / EXPORTED, ignore_errors=True)
        start = perf_counter()
        self._converted = deploy(workload, context.directory / EXPORTED)
        self._model = self._converted.model
        load_s = perf_counter() - start
        self.report.metric("load_s", load_s, "s")
        self.report.notes += [f"the precision {note}" for note in self._converted.notes]
        self._batch = self._converted.batch(workload.batch())
        self._part = partial(part, self.report, workload=workload)
        self._plan, why = plan.affordable(load_s, compiles=self._converted.compiles)
        self.report.notes += [why] if why else []
        self._sampling = Sampling(context, self._plan)
        self.found = Earlier(self.report, self._identity())

    @property
    def processes(self) -> int:
        """How many processes are to share the samples."""
        shared = any(t.processes > 1 for found in self.found.phases.values() for t in found.timings)
        return self._plan.processes if shared else 1

    def measure(self, *, roofline: bool) -> None:
        """Time each phase and find what bounds it; one that raises loses no other."""
        placement = None
        if roofline and not self._converted.quantized:
            placement = Placement(self._workload, self._converted, self._batch)
        for at, phase in enumerate(self._phases):
            rest = self._phases[at + 1 :]
            self._keep(phase, {"phases": rest, "processes": 1} if rest else {})
            with self._part(phase):
                self._measure(phase, placement)
        self._keep("throughput", {})

    def _keep(self, doing: str, rest: Mapping[str, Any]) -> None:
        """Keep what was found so far, should the process die now."""
        self._context.keep(add_figures(self.found, self._workload), doing, rest)

    def _measure(self, phase: str, placement: Placement | None) -> None:
        report = self.report
        try:
            call = self._workload.phase(phase, self._model, self._batch)
            self._prepare(phase, call)
        except Skip as skip:
            report.notes.append(f"{phase} skipped: {skip}")
            return
        found = Sampled()
        timing = self._sampling.sample(phase, call, found)
        self.found.phases[phase] = found
        if "first_call_ms" not in report.metrics:
            names = [f"{phase}/{name}" for name in ("compile_s", "export_s")]
            known = [report.metrics[name].value for name in names if name in report.metrics]
            first_ms = sum(known) * 1e3
            report.metric("first_call_ms", first_ms or timing.warmup_ms[0], "ms")
        if timing.processes == 1 and self._plan.processes > 1:
            report.notes.append(
                f"{phase}: a call takes too long for several processes to share "
                "test.benchmark.budget_s, so what processes differ by is not seen"
            )
        median = Statistics.of(timing.samples_ms).median
        self._own_figures(phase, call, len(timing.samples_ms))
        if timing.stream_ms:
            with self._part(f"{phase}, kernel times"):
                self._kernels(phase, call, median)
        if placement is not None:
            self._context.say(f"counting MACs and bytes moved of {phase}")
            with self._part(f"{phase}, share of the peak"):
                found.place, found.operations = placement.find(report, phase, median / 1e3)

    def _prepare(self, phase: str, call: Phase) -> None:
        """Compile or export what the phase calls; what that takes is no latency."""
        if self._converted.compiles or self._converted.runtime:
            doing = "compile" if self._converted.compiles else "export"
            self._context.say(f"{doing}: {phase}")
            self.report.metric(f"{phase}/{doing}_s", prepared(self._converted, call), "s")

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
        report.details[phase] = dict(getattr(call, "details", {}))
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

    def throughput(self, sizes: Mapping[str, Sequence[int]]) -> None:
        """Time growing batches, and growing prompts of a model of text alone.

        `sizes` has those of `batch_size` and of `sequence_length`.
        """
        axes, converted = self._workload.axes, self._converted
        wanted = [(phase, "batch_size") for phase in self._phases]
        if "image_size" not in axes:
            wanted.append((self._phases[0], "sequence_length"))
        if converted.fixed_sizes or converted.compiles:
            for phase, axis in wanted:
                if axis in axes and sizes[axis]:
                    self.report.notes.append(
                        f"{phase}: in this precision the sizes are fixed; no throughput over {axis}"
                    )
            return
        rule = brief(self._plan.rule, self._plan.throughput_s)
        throughput = Throughput(self._workload, self._context, converted, rule)
        usual = {
            phase: Statistics.of(sampled.timings[0].samples_ms).median
            for phase, sampled in self.found.phases.items()
            if sampled.timings
        }
        for phase, axis in wanted:
            if axis in axes and sizes[axis] and phase in usual:  # else failed, and said already
                with self._part(f"{phase}, throughput over {axis}"):
                    ms = usual[phase]
                    found = throughput.grow(self.report, phase, axis, list(sizes[axis]), ms)
                    self.found.grown += [found] if found else []

    def finish(self) -> None:
        """Add in which state the machine was."""
        report, device = self.report, self._context.device
        report.details["state"] = state(device)
        report.warnings += of_threads(report.details["state"]["torch_threads"])
        cache = "cold" if self._plan.cold else "warm"
        report.notes.append(
            f"timed in eval mode under inference_mode, end to end, last-level cache {cache}"
        )

    def _identity(self) -> dict[str, Any]:
        converted, device = self._converted, self._context.device
        return {
            "model": self._workload.name,
            **self._workload.axes,
            "precision": f"{converted.chosen or converted.dtype}",
            "quantized": converted.quantized,
            "compiled": converted.compiles,
            "parameters": sum(parameter.numel() for parameter in self._model.parameters()),
            "processes": self._plan.processes,
            "cold": self._plan.cold,
            "machine": fingerprint(device, converted.dtype),
        }
