"""The figures that follow from the samples of one phase, taken by one process or by several."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from modelbench.measurement.timing.audit import FEW, of_processes, of_samples
from modelbench.measurement.timing.between import Between, between
from modelbench.measurement.timing.control import FOLLOWED, KINDS, LAUNCHES, Kind
from modelbench.measurement.timing.record import Record, known
from modelbench.measurement.timing.statistics import LEAST, LEAST_TOLD, Statistics
from modelbench.results import Report
from modelbench.stages.benchmark.placement import add_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbench.measurement.timing.timing import Timing
    from modelbench.stages.benchmark.sampled import Sampled
WORSE = 2.0
"""Times that a ratio may vary by more than the time, before it is left out."""
LEAST_QUIET = 3
"""Processes that nothing disturbed, by which alone the figures go where there are so many."""
NOTICED = 0.1
"""Share of a call's time that starting its operations takes, from which they are its control."""


class PhaseFigures:
    """One phase's, from all processes so far."""

    def __init__(self, phase: str, found: Sampled, record: Record, machine: Record) -> None:
        self.phase, self._found, self._record = phase, found, record
        self.timings = found.timings
        quiet = [t for t, used in zip(found.timings, found.others, strict=True) if used <= FEW]
        self.quiet = len(quiet) >= LEAST_QUIET or len(quiet) == len(self.timings)
        """Whether the figures are of processes that no other one disturbed."""
        self.counted = quiet if self.quiet else self.timings
        self.samples_ms = [ms for timing in self.timings for ms in timing.samples_ms]
        self._all = Statistics.of([ms for timing in self.counted for ms in timing.samples_ms])
        loaded = self._loaded(self._all.median)
        self.follows: Kind | None = followed(loaded, record)
        usual = machine.usual(f"{loaded}_ms")
        whole = [timing.samples_ms for timing in self.counted]
        self.known = known(record.usual("p50_ms"), usual, loaded)
        self.time = between(whole, self.known)
        self.ratio = None if self.follows is None else self._in_units_of(self.follows)

    def add(self, report: Report, items: int) -> None:
        """Add what the samples carry, and what they cannot."""
        phase, found, time = self.phase, self._all, self.time
        report.metric(f"{phase}/p50_ms", time.median, "ms")
        self._interval(report, "ci95", time.interval)
        self._interval(report, "within_ci95", time.within)
        report.metric(f"{phase}/mean_ms", found.mean, "ms")
        if found.deviation is not None:
            report.metric(f"{phase}/std_ms", found.deviation, "ms")
        for percentile, value in found.percentiles.items():
            report.metric(f"{phase}/p{percentile}_ms", value, "ms")
        if stream := [ms for timing in self.timings for ms in timing.stream_ms]:
            report.metric(f"{phase}/stream_p50_ms", sorted(stream)[len(stream) // 2], "ms")
            report.series[f"{phase}/stream_samples_ms"] = stream
        report.metric(f"{phase}/samples", found.samples, "count")
        report.metric(f"{phase}/processes", len(self.timings), "count")
        report.metric(f"{phase}/outliers", found.outliers, "count")
        report.metric(f"{phase}/items_per_s", items / time.median * 1e3, "1/s")
        if self.ratio is not None:
            report.metric(f"{phase}/control_ratio", self.ratio.median, "times")
            if self.ratio.interval is not None:
                low, high = self.ratio.interval
                report.metric(f"{phase}/control_ratio_ci_low", low, "times")
                report.metric(f"{phase}/control_ratio_ci_high", high, "times")
        if time.interval is not None:
            low, high = time.interval
            count = len(self.counted)
            several = "one process" if count == 1 else f"{count} processes"
            report.notes.append(
                f"{phase}: the median of many runs lies between {low:,.4g} and {high:,.4g} ms, in "
                f"19 of 20 cases (from {several}; {time.rests_on})"
            )
        report.series[f"{phase}/samples_ms"] = self.samples_ms
        report.details[phase] = {**report.details.get(phase, {}), **self._details()}
        if self._found.place is not None:
            add_share(report, phase, replace(self._found.place, seconds=time.median / 1e3))
        self._audit(report)

    def _loaded(self, median_ms: float) -> Kind:
        """Return the control that loads the machine as the call does, as far as was counted."""
        launches = [ms for timing in self.timings for ms in timing.rounds.launch]
        launch_ms = (middle(launches) or 0.0) / LAUNCHES
        if self._found.operations * launch_ms > NOTICED * median_ms or self._found.place is None:
            return "launch"
        return FOLLOWED[self._found.place.bound]

    def keep(self) -> None:
        """Let later runs know of this one."""
        found = {kind: self._in_units_of(kind) for kind in KINDS}
        ratios = {f"{kind}_ratio": ratio.median for kind, ratio in found.items() if ratio}
        self._record.add({"p50_ms": self.time.median, **ratios})

    def _in_units_of(self, kind: Kind) -> Between | None:
        """Return the time in units of a control, process by process."""
        controls = [middle(timing.rounds.of(kind)) for timing in self.counted]
        whole = [
            [ms / control for ms in timing.samples_ms]
            for timing, control in zip(self.counted, controls, strict=True)
            if control
        ]
        if len(whole) < len(self.counted):
            return None
        # On a machine that is not known, it is assumed to vary as much as the time does.
        return between(whole, known(self._record.usual(f"{kind}_ratio"), None, kind))

    def _interval(self, report: Report, kind: str, ends: tuple[float, float] | None) -> None:
        if ends is not None:
            report.metric(f"{self.phase}/{kind}_low_ms", ends[0], "ms")
            report.metric(f"{self.phase}/{kind}_high_ms", ends[1], "ms")

    def _details(self) -> dict[str, Any]:
        first, begin = self.timings[0], self.timings[0].began
        return {
            "stopped": first.stopped,
            "settled": first.settled,
            "warmup_calls": len(first.warmup_ms),
            "effective_samples": self._all.effective,
            "interval_allows_for_correlation": self._all.covers,
            "interval_rests_on": self.time.rests_on,
            "between_processes": self.time.spread,
            "follows": self.follows,
            "quiet": self.quiet,
            "processes": [_process(timing) for timing in self.timings],
            "samples_at_s": [
                round(timing.began - begin + at, 6) for timing in self.timings for at in timing.at_s
            ],
            "control": {
                "at_s": [
                    round(timing.began - begin + at, 6)
                    for timing in self.timings
                    for at in timing.rounds.at_s
                ],
                **{
                    f"{kind}_ms": [ms for timing in self.timings for ms in timing.rounds.of(kind)]
                    for kind in KINDS
                },
            },
        }

    def _audit(self, report: Report) -> None:
        """Add what disturbed the samples, and why there may be no interval."""
        phase, found, first = self.phase, self._all, self.timings[0]
        disturbed = list(dict.fromkeys(each for audit in self._found.audits for each in audit))
        left_out = len(self.timings) - len(self.counted)
        if left_out:
            disturbed.append(
                f"{left_out} of {len(self.timings)} processes ran beside other busy ones, and the "
                "figures are of the others"
            )
        each = [of_samples(timing.samples_ms) for timing in self.timings]
        # What one process of several shows by itself is chance, or what they differ by.
        common = sum(map(bool, each)) > len(each) / 2
        samples = next(filter(None, each)) if common else []
        medians = [middle(timing.samples_ms) or 0.0 for timing in self.counted]
        controls = [
            middle(timing.rounds.of(self.follows)) if self.follows else None
            for timing in self.counted
        ]
        audit = [*disturbed, *samples, *of_processes(medians, controls)]
        report.details[phase]["audit"] = audit
        report.warnings += [f"{phase}: {finding}" for finding in audit]
        more = "raise test.benchmark.budget_s"
        if found.samples == 1:
            report.warnings.append(f"{phase}: {first.stopped}, and is the only sample; {more}")
        elif found.samples < LEAST and self.time.interval is None:
            few = f"{found.samples} samples are too few for an interval"
            report.warnings.append(f"{phase}: {first.stopped}; {few}; {more}")
        elif first is self.timings[-1] and found.samples < LEAST_TOLD and found.interval:
            report.notes.append(
                f"{phase}: {first.stopped}; the interval within the run assumes that its "
                f"{found.samples} samples are independent, which fewer than {LEAST_TOLD} cannot "
                "show"
            )
        unsettled = [timing for timing in self.timings if not timing.settled]
        if found.samples > 1 and len(unsettled) > len(self.timings) / 2:
            report.warnings.append(
                f"{phase}: times had not stabilised after {len(first.warmup_ms)} warm-up calls; "
                "raise test.benchmark.warmup_s"
            )


def _process(timing: Timing) -> dict[str, Any]:
    return {
        "at": datetime.fromtimestamp(timing.began, UTC).isoformat(timespec="milliseconds"),
        "samples": len(timing.samples_ms),
        "p50_ms": middle(timing.samples_ms),
        "control_ms": {kind: middle(timing.rounds.of(kind)) for kind in KINDS},
        "warmup_calls": len(timing.warmup_ms),
        "settled": timing.settled,
        "stopped": timing.stopped,
    }


def followed(loaded: Kind, record: Record) -> Kind | None:
    """Return the control in whose units a time is given; None where that does not help.

    It is the one that loads the machine as the call does, in every run, or else two runs could not
    be compared; not where earlier runs varied by much more in its units than in milliseconds.
    """
    time, ratio = record.usual("p50_ms"), record.usual(f"{loaded}_ratio")
    if time is None or ratio is None:
        return loaded
    return loaded if ratio.spread < WORSE * time.spread else None


def middle(values: Sequence[float]) -> float | None:
    """Return the median of the values, if there are some."""
    return median(values) if values else None
