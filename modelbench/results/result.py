"""How one stage ended: plain data that pickles and turns into JSON."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from modelbench.results.report import Further, Metric, Report

PEAK = "worker_peak_mib"
"""The detail of a result that says how much memory its process held at most."""
Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Result:
    """How one stage ended. `metrics` and `series` carry full names, such as `structure/params`."""

    stage: str
    status: Status
    seconds: float
    reason: str | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    series: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """In order; None stands for NaN and infinity, which JSON lacks."""
    curves: Mapping[str, Mapping[int, float | None]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    artifacts: Sequence[str] = ()
    further: Further | None = None
    """What other processes are still to add; this stands should they die."""

    @classmethod
    def of(cls, stage: str, seconds: float, report: Report) -> Result:
        """Turn the report of a stage that ran through into its result."""
        return cls(
            stage,
            "failed" if report.failure else "passed",
            seconds,
            report.failure,
            metrics={f"{stage}/{name}": metric for name, metric in report.metrics.items()},
            series={f"{stage}/{name}": _finite(values) for name, values in report.series.items()},
            curves={f"{stage}/{name}": _finite(points) for name, points in report.curves.items()},
            details=_finite(report.details | _for_people(report)),
            warnings=report.warnings,
            artifacts=report.artifacts,
            # As bytes: the job process hands it on, and need not import what it is made of.
            further=report.further
            and replace(report.further, earlier=pickle.dumps(report.further.earlier)),
        )

    def joined(self, later: Result) -> Result:
        """Return both in one: this one ended in a part, and `later` went on without it."""
        notes = [*self.details.get("notes", []), *later.details.get("notes", [])]
        if later.status == "skipped":
            notes.append(later.reason)
        reasons = [self.reason, later.reason if later.status == "failed" else None]
        tables = [*self.details.get("tables", []), *later.details.get("tables", [])]
        told = {n: v for n, v in (("notes", _once(notes)), ("tables", tables)) if v}
        return replace(
            self,
            reason="; ".join(filter(None, reasons)),
            seconds=self.seconds + later.seconds,
            metrics={**later.metrics, **self.metrics},
            series={**later.series, **self.series},
            curves={**later.curves, **self.curves},
            details={**later.details, **self.details} | told,
            warnings=_once([*self.warnings, *later.warnings]),
            artifacts=_once([*self.artifacts, *later.artifacts]),
        )

    def narrowed(self, later: Result) -> Result:
        """Return what stands after a further process: its result, or this one where it died."""
        assert self.further is not None
        seconds, died = self.seconds + later.seconds, self.further.died
        if later.metrics:
            further = later.further and replace(later.further, died=died)
            warnings = [*later.warnings, *died]
            peaks = [r.details[PEAK] for r in (self, later) if PEAK in r.details]
            details = {**later.details, **({PEAK: max(peaks)} if peaks else {})}
            return replace(
                later, seconds=seconds, warnings=warnings, further=further, details=details
            )
        left = self.further.processes - 1
        why = f"a further process was lost: {later.reason}; the figures rest on the others"
        # At 0 there is nothing left to sample, but the plots to draw; below that was tried too.
        further = None if left < 0 else replace(self.further, processes=left, died=(*died, why))
        return replace(self, seconds=seconds, warnings=[*self.warnings, why], further=further)

    def document(self) -> dict[str, Any]:
        """Return the stage's entry in `results.json`."""
        entry = asdict(replace(self, further=None))
        del entry["stage"], entry["further"]
        # Processes were to add to it: a job that is resumed runs the stage again.
        return entry | ({"unfinished": True} if self.further is not None else {})

    @classmethod
    def restored(cls, stage: str, entry: Mapping[str, Any]) -> Result:
        """Return the result that an entry in `results.json` was written of."""
        metrics = {
            name: Metric(metric["value"], metric.get("unit", ""))
            for name, metric in entry["metrics"].items()
        }
        curves = {
            name: {int(size): value for size, value in points.items()}
            for name, points in entry.get("curves", {}).items()
        }
        known = {each.name for each in fields(cls)} - {"stage"}
        plain = {key: value for key, value in entry.items() if key in known}
        return cls(stage, **{**plain, "metrics": metrics, "curves": curves})


@dataclass(frozen=True)
class Partial:
    """What a stage had found when it began a part that its process may not survive."""

    result: Result
    doing: str
    rest: Mapping[str, Any]
    """Settings with which to go on without that part; empty where nothing comes after it."""

    def without_it(self, reason: str, seconds: float) -> Result:
        """Return what was found, failed for the part that was not."""
        why = f"{self.doing}: {reason}"
        if self.result.reason:
            why = f"{self.result.reason}; {why}"
        return replace(self.result, status="failed", reason=why, seconds=seconds)


def _for_people(report: Report) -> dict[str, Any]:
    tables = [asdict(table) for table in report.tables]
    found = {"notes": report.notes, "tables": tables}
    return {name: value for name, value in found.items() if value}


def _once(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _finite(value: Any) -> Any:
    """Replace what JSON cannot hold by None, at any depth."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
