"""One model, profiled phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from modelbench.measurement.compute.peaks import Peaks, peaks
from modelbench.measurement.profiling.layer_times import LayerTimes, Rule, time_layers, time_plain
from modelbench.measurement.profiling.recorder import How, record
from modelbench.measurement.profiling.recording import Recording
from modelbench.measurement.profiling.work import Work, work_of
from modelbench.precision.compiling import compiled, name_kernels
from modelbench.results import Report, Skip
from modelbench.runtimes.deploy import deploy
from modelbench.stages.part import part
from modelbench.stages.profile.compiled import explained
from modelbench.stages.profile.pictures import Pictures
from modelbench.stages.profile.remarks import judge, of_kernels, of_operators
from modelbench.stages.profile.rows import (
    Row,
    Sources,
    accounted,
    between_layers,
    kinds_of,
    operators_of,
    rows_of,
    write_rows,
)
from modelbench.stages.profile.suspects import Finding, Known, Scene, findings_of
from modelbench.stages.profile.tables import kinds_table, layers_table, operators_table, tree_table
from modelbench.stages.profile.training import add_training
from modelbench.stages.profile.tree import tree_of
from modelbench.stages.stage import Context
from modelbench.system.file_name import file_name

if TYPE_CHECKING:
    from modelbench.models.workload import Phase, Workload

QUICK_S = 2.0
"""Seconds of a call that is made again to count it, and once more to warm the profiler."""
LONG_S = 10.0
"""Seconds of a call that is not made again to try remedies."""
SHAPES = 15_000
"""Operations of a call above which shapes are left out of its trace, which doubles with them."""
MOST_OPERATIONS = 60_000
"""Of a call, above which it is not recorded: the trace would have hundreds of megabytes."""
OF_A_CALL = 6
"""Operators of a module's call, roughly, where they are not counted."""
MOST_ROWS = 1000
"""Of the layers in `results.json`; the CSV has all."""


@dataclass(frozen=True)
class Limits:
    """What a phase may cost, and how much is shown."""

    budget_s: float
    rows: int
    remedies_s: float | None
    """None for no remedies."""
    pictures: bool


@dataclass(frozen=True)
class Parts:
    """What was measured of one phase."""

    times: LayerTimes
    work: Work | None
    recording: Recording | None


class Session:
    """One model, loaded once, and what was found of it."""

    def __init__(self, workload: Workload, context: Context, limits: Limits) -> None:
        """Load the model."""
        self.report = Report()
        self._workload, self._context, self._limits = workload, context, limits
        self._known: Known = {}
        self._rest: Mapping[str, Any] = {}
        self._part = partial(part, self.report, workload=workload)
        context.say("loading the model")
        self._converted = deploy(workload)
        if self._converted.attachment is not None:
            raise Skip(
                f"{self._converted.runtime} runs the model as a whole, and layers are no longer "
                "there to time; profile it with runtime=eager or runtime=compile"
            )
        self._model = self._converted.model
        self.report.notes += [f"the precision {note}" for note in self._converted.notes]
        if self._converted.compiles:
            name_kernels()
        self._batch = self._converted.batch(workload.batch())
        kept = self._converted.coverage.kept
        if kept:
            self.report.details["fell_back"] = list(kept)
            few = ", ".join(kept[:5]) + (f" and {len(kept) - 5} more" if len(kept) > 5 else "")
            self.report.notes.append(f"stays in single precision: {few}")

    def profile(self, phase: str, rest: Mapping[str, Any]) -> None:
        """Profile one phase; one that raises loses no other.

        Should the process die while operators are recorded, or remedies tried, the layers' times
        are kept, and the stage goes on with the settings in `rest`.
        """
        self._rest = rest
        self._context.keep(self.report, phase, rest)
        with self._part(phase):
            try:
                call = self._workload.phase(phase, self._model, self._batch)
            except Skip as skip:
                self.report.notes.append(f"{phase} skipped: {skip}")
                return
            if self._converted.compiles:
                self._context.say(f"compiling {phase}")
                compiled(call)
            self._profile(phase, call)

    def train(self, optimizer: Mapping[str, Any]) -> None:
        """Profile a training step."""
        with self._part("training"):
            try:
                add_training(self.report, self._workload, self._context, optimizer, self._limits)
            except Skip as skip:
                self.report.notes.append(f"training skipped: {skip}")

    def _profile(self, phase: str, call: Phase) -> None:
        report, limits = self.report, self._limits
        self._context.say(f"timing the layers of {phase}")
        rule = Rule(limits.budget_s)
        device = self._context.device
        hidden = self._converted.compiles
        times = (time_plain if hidden else time_layers)(self._model, call, device, rule)
        report.metric(f"{phase}/p50_ms", times.median_ms, "ms")
        report.details[phase] = details = dict[str, Any]()
        work = None if hidden else self._work(phase, times.median_ms)
        if not hidden:
            so_far = deepcopy(report)
            self._rows(so_far, phase, Parts(times, work, None))
            self._context.keep(so_far, f"{phase}, operators", self._rest)
        recording = self._recording(phase, call, times, work)
        rows = list[Row]()
        if hidden:
            self._of_compiled(phase, call, times, recording)
        else:
            rows = self._rows(report, phase, Parts(times, work, recording))
        if recording is not None:
            operators = operators_of(recording, times.median_ms)
            details["operators"] = [kind.told() for kind in operators]
            report.tables.append(operators_table(phase, operators[: limits.rows]))
            of_operators(report, phase, times, recording)
        self._context.keep(report, f"{phase}, remedies and pictures", self._rest)
        findings = list[Finding]()
        if limits.remedies_s and times.median_ms < LONG_S * 1e3:
            findings = self._findings(phase, call, rows, recording)
        elif limits.remedies_s:
            report.notes.append(f"{phase}: a call takes too long to try what would make it faster")
        details["findings"] = [finding.told() for finding in findings]
        report.notes += [f"{phase}: {finding.sentence}" for finding in findings if finding.shown]
        if limits.pictures and rows:
            with self._part(f"{phase}, pictures"):
                pictures = Pictures(self._workload, self._context, phase, limits.rows)
                report.artifacts += pictures.charts(rows, self._tree(rows, times), times)
                self._context.say(f"drawing {phase}")
                drawn, why_not = pictures.architecture(self._model, self._batch, times, work)
                report.artifacts += drawn
                report.notes += [f"{phase}: {why_not}"] if why_not else []

    def _work(self, phase: str, ms: float) -> Work | None:
        """Count what the phase's modules compute."""
        self._context.say(f"counting the MACs of {phase}")
        found: Work | None = None
        with self._part(f"{phase}, counting MACs"):
            prepare = partial(self._workload.phase, phase)
            found = work_of(prepare, self._model, self._batch, quick=ms < QUICK_S * 1e3)
        if found is None:
            self.report.notes.append(f"{phase}: its MACs are unknown")
        elif found.uncounted:
            self.report.notes.append(f"{phase}: its MACs exclude {', '.join(found.uncounted)}")
        return found

    def _recording(
        self, phase: str, call: Phase, times: LayerTimes, work: Work | None
    ) -> Recording | None:
        """Record the phase's operators; None where they are too many, or where that fails."""
        ran = OF_A_CALL * len(times.spans.module) if times.spans is not None else 0
        operations = work.operations if work is not None else ran
        if operations > MOST_OPERATIONS:
            self.report.notes.append(
                f"{phase}: {operations:,} operators are too many for a trace and a table of "
                "them; profile a shorter phase"
            )
            return None
        if work is not None and work.profiled:
            self.report.fail(
                f"{phase}, operators: the model runs a profiler of its own, and torch has but one"
            )
            return None
        self._context.say(f"recording the operators of {phase}")
        name = f"trace-{file_name(phase)}.json.gz"
        found: Recording | None = None
        with self._part(f"{phase}, operators"), torch.inference_mode():
            how = How(
                phase, twice=times.median_ms < QUICK_S * 1e3, ranges=not self._converted.compiles,
                shapes=operations <= SHAPES,
            )  # fmt: skip
            file = self._context.directory / name
            found = record(self._model, call, self._context.device, file, how)
            self.report.artifacts.append(name)
        return found

    def _rows(self, report: Report, phase: str, found: Parts) -> list[Row]:
        """Add the rows of the phase, and whether they add up."""
        limits, times = self._limits, found.times
        modules = dict(self._model.named_modules())
        at_best = self._peaks()
        peak = at_best.macs_per_s if at_best else None
        rows = rows_of(Sources(times, found.work, found.recording, modules, peak))
        report.metric(f"{phase}/accounted", accounted(rows), "share")
        report.metric(f"{phase}/overhead", times.overhead, "share")
        report.metric(f"{phase}/between_layers", between_layers(rows), "share")
        file = f"layers_time-{file_name(phase)}.csv"
        write_rows(rows, self._context.directory / file)
        report.artifacts.append(file)
        kinds, tree = kinds_of(rows), self._tree(rows, times)
        report.details[phase] |= {
            "layers": [row.told() for row in rows[:MOST_ROWS]],
            "kinds": [kind.told() for kind in kinds],
            "blocks": tree.told(),
        }
        if len(rows) > MOST_ROWS:
            report.notes.append(
                f"{phase}: the {MOST_ROWS:,} slowest of {len(rows):,} layers are in results.json, "
                f"all of them in {file}"
            )
        report.tables.append(layers_table(phase, rows[: limits.rows]))
        report.tables.append(tree_table(phase, tree, times.median_ms))
        report.tables.append(kinds_table(phase, kinds[: limits.rows]))
        judge(report, phase, times, rows)
        return rows

    def _tree(self, rows: Sequence[Row], times: LayerTimes) -> Any:
        return tree_of(rows, dict(zip(times.paths, times.kinds, strict=True)))

    def _of_compiled(
        self, phase: str, call: Phase, times: LayerTimes, recording: Recording | None
    ) -> None:
        """Add what became of a compiled phase: layers are no more, kernels are."""
        report = self.report
        report.notes.append(
            f"{phase}: compiled, so its layers have become kernels; the operators list them"
        )
        report.details[phase]["layers"] = []
        if recording is not None:
            of_kernels(report, phase, times, recording)
        with self._part(f"{phase}, graph breaks"):
            self._context.say(f"looking for graph breaks in {phase}")
            found = explained(self._model, call)
            report.details[phase] |= found.told()
            report.notes += [f"{phase}: {sentence}" for sentence in found.sentences()]

    def _findings(
        self, phase: str, call: Phase, rows: Sequence[Row], recording: Recording | None
    ) -> list[Finding]:
        if rows and self._limits.remedies_s:
            with self._part(f"{phase}, remedies"):
                peak = self._peaks()
                scene = Scene(self._model, call, self._context.device, rows, recording, peak)
                budget_s, say = self._limits.remedies_s, self._context.say
                return findings_of(scene, budget_s, self._known, say)
        return []

    def _peaks(self) -> Peaks | None:
        """Return the machine's peaks; None for a precision whose products have others."""
        if self._converted.quantized:
            return None
        return peaks(self._workload.device, self._converted.dtype)
