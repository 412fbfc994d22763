"""What processes have timed of each scheme, interleaved with single precision."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from modelbench.results import Report

if TYPE_CHECKING:
    from modelbench.measurement.timing.pairing import Compared


@dataclass
class Timed:
    """One stage's, and what else it has found."""

    report: Report = field(default_factory=Report)
    """What does not follow from the samples."""
    schemes: dict[str, list[Compared]] = field(default_factory=dict)
    """By scheme, one of each process in their order."""
    shared: list[str] = field(default_factory=list)
    """Schemes that further processes time again: those that are converted quickly."""

    def with_speeds(self) -> Report:
        """Return the report with all that follows from the samples so far."""
        from modelbench.measurement.timing.pairing import over_processes

        report = deepcopy(self.report)
        for name, processes in self.schemes.items():
            ratio = over_processes([compared.ratio for compared in processes])
            medians = [median(compared.second_ms) for compared in processes]
            report.metric(f"{name}/p50_ms", median(medians), "ms")
            if "fp32/p50_ms" not in report.metrics:
                own = median(median(compared.first_ms) for compared in processes)
                report.metric("fp32/p50_ms", own, "ms")
            report.series[f"{name}/samples_ms"] = [ms for c in processes for ms in c.second_ms]
            report.metric(f"{name}/speedup", 1 / ratio.median, "times")
            if ratio.interval is not None:
                low, high = ratio.interval
                report.metric(f"{name}/speedup_ci_low", 1 / high, "times")
                report.metric(f"{name}/speedup_ci_high", 1 / low, "times")
            found = {"verdict": ratio.verdict, "processes": len(processes)}
            report.details[name] = {**report.details.get(name, {}), **found}
        alone = [name for name in self.schemes if name not in self.shared]
        if alone and self.shared:
            report.notes.append(
                f"{', '.join(alone)}: timed in one process, since others would convert or compile "
                "again, so the interval does not know by how much processes differ"
            )
        return report
