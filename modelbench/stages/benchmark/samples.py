"""What stages tell of a call that they have timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbench.results import Report

if TYPE_CHECKING:
    from pathlib import Path

    from modelbench.measurement.timing.statistics import Statistics
    from modelbench.measurement.timing.timing import Timing


def add_samples(report: Report, phase: str, timing: Timing, found: Statistics) -> None:
    """Add what the samples of one phase carry, and what they cannot."""
    from modelbench.measurement.timing.statistics import LEAST, LEAST_TOLD

    report.metric(f"{phase}/p50_ms", found.median, "ms")
    if found.interval:
        report.metric(f"{phase}/ci95_low_ms", found.interval[0], "ms")
        report.metric(f"{phase}/ci95_high_ms", found.interval[1], "ms")
    report.metric(f"{phase}/mean_ms", found.mean, "ms")
    if found.deviation is not None:
        report.metric(f"{phase}/std_ms", found.deviation, "ms")
    for percentile, value in found.percentiles.items():
        report.metric(f"{phase}/p{percentile}_ms", value, "ms")
    if timing.stream_ms:
        middle = sorted(timing.stream_ms)[len(timing.stream_ms) // 2]
        report.metric(f"{phase}/stream_p50_ms", middle, "ms")
        report.series[f"{phase}/stream_samples_ms"] = timing.stream_ms
    report.metric(f"{phase}/samples", found.samples, "count")
    report.metric(f"{phase}/outliers", found.outliers, "count")
    report.series[f"{phase}/samples_ms"] = timing.samples_ms
    report.details[phase] = {
        "stopped": timing.stopped,
        "settled": timing.settled,
        "warmup_calls": len(timing.warmup_ms),
        "effective_samples": found.effective,
        "interval_allows_for_correlation": found.covers,
    }
    more = "raise test.benchmark.budget_s"
    if found.samples == 1:
        report.warnings.append(f"{phase}: {timing.stopped}, and is the only sample; {more}")
    elif found.samples < LEAST:
        few = f"{found.samples} samples are too few for an interval"
        report.warnings.append(f"{phase}: {timing.stopped}; {few}; {more}")
    elif found.interval is not None and found.samples < LEAST_TOLD:
        report.notes.append(
            f"{phase}: {timing.stopped}; the interval assumes that its {found.samples} samples "
            f"are independent, which fewer than {LEAST_TOLD} cannot show"
        )
    if not timing.settled and found.samples > 1:
        report.warnings.append(
            f"{phase}: times had not stabilised after {len(timing.warmup_ms)} warm-up calls; raise "
            "test.benchmark.warmup_s"
        )


def draw_samples(report: Report, model: str, directory: Path) -> None:
    """Draw the samples of every phase that was timed."""
    from modelbench.stages.benchmark.plot_samples import Samples, latency

    for phase in [name.removesuffix("/samples_ms") for name in report.series]:
        median = report.metrics.get(f"{phase}/p50_ms")
        if median is None:
            continue
        edges = [report.metrics.get(f"{phase}/ci95_{edge}_ms") for edge in ("low", "high")]
        known = [edge.value for edge in edges if edge is not None]
        interval = (known[0], known[1]) if len(known) == 2 else None
        found = Samples(report.series[f"{phase}/samples_ms"], median.value, interval)
        report.artifacts += latency(phase, found, f"{model}: {phase}", directory)
