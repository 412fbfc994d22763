"""The figures of one run, each with how far the same figure of other runs may lie from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import Any

import numpy as np
from scipy.special import stdtrit

from modelbench.measurement.comparison.meaning import Meaning, meaning, unit_of
from modelbench.measurement.timing.record import UNKNOWN_FREEDOM

STUDENT = float(stdtrit(UNKNOWN_FREEDOM, 0.975))
"""Reaches of 95% in standard deviations, with as few degrees of freedom as an assumption has."""


@dataclass(frozen=True)
class Figure:
    """A metric's value in one run."""

    value: float
    unit: str
    meaning: Meaning
    reach: float | None = None
    """Distance of logarithms within which the median of many runs lies in 95% of cases; None of
    what is exact, and of what is not known."""
    rests_on: str = ""
    """Where the reach is from."""
    control: tuple[str, float, float] | None = None
    """The control that it follows, the value in its units, and the reach of that."""
    disturbed: bool = False
    """Whether other processes were busy while it was timed."""


def figures(document: Mapping[str, Any]) -> dict[str, Figure]:
    """Return a run's figures by name; `NAME[SIZE]` of a curve. Those that are parts are left out.

    `document` is the content of a `results.json`.
    """
    found: dict[str, Figure] = {}
    for stage in document["stages"].values():
        metrics: Mapping[str, Any] = stage["metrics"]
        own = dict(_points(stage))
        for name, metric in metrics.items():
            what = meaning(name, metric.get("unit", ""))
            if what.known != "part":
                own[name] = _figure(name, metric, what, stage)
        if _disturbed(stage["details"], document["device"]):
            own = {
                name: replace(figure, disturbed=figure.meaning.known in {"sampled", "once"})
                for name, figure in own.items()
            }
        found |= own
    return found


def _disturbed(details: Mapping[str, Any], device: str) -> bool:
    """Return whether others were busy; jobs beside each on its own accelerator hardly are."""
    if details.get("jobs_beside") and device == "cpu":
        return True
    phases = (phase for phase in details.values() if isinstance(phase, Mapping))
    return any(phase.get("quiet") is False for phase in phases)


def _figure(
    name: str, metric: Mapping[str, Any], what: Meaning, stage: Mapping[str, Any]
) -> Figure:
    value, unit = float(metric["value"]), str(metric.get("unit", ""))
    if what.known == "once":
        return _once(value, unit, what)
    if what.known != "sampled":
        return Figure(value, unit, what)
    metrics = stage["metrics"]
    path, _, short = name.rpartition("/")
    if short == "speedup":
        reach = _reach(metrics, f"{name}_ci_low", f"{name}_ci_high")
        return Figure(value, unit, what, reach, "interleaved samples")
    phase = path.removeprefix("benchmark/")
    reach = _reach(metrics, f"{path}/ci95_low_ms", f"{path}/ci95_high_ms")
    details = stage["details"].get(phase) or {}
    rests_on = str(details.get("interval_rests_on", ""))
    if short == "p50_ms":
        return Figure(value, unit, what, reach, rests_on, _in_control(path, details, metrics))
    samples = stage["series"].get(f"{path}/samples_ms") or []
    return Figure(value, unit, what, _wider(reach, short, samples, details), rests_on)


def _once(value: float, unit: str, what: Meaning) -> Figure:
    return Figure(
        value, unit, what, STUDENT * what.varies,
        f"taken once, in one process; {what.varies:.0%} assumed between runs",
    )  # fmt: skip


def _in_control(
    path: str, details: Mapping[str, Any], metrics: Mapping[str, Any]
) -> tuple[str, float, float] | None:
    follows, name = details.get("follows"), f"{path}/control_ratio"
    reach = _reach(metrics, f"{name}_ci_low", f"{name}_ci_high")
    if not follows or name not in metrics or reach is None:
        return None
    return str(follows), float(metrics[name]["value"]), reach


def _reach(metrics: Mapping[str, Any], low: str, high: str) -> float | None:
    ends = [float(metrics[end]["value"]) for end in (low, high) if end in metrics]
    return log(ends[1] / ends[0]) / 2 if len(ends) == 2 and ends[0] > 0 else None


def _wider(
    reach: float | None, short: str, samples: Sequence[float], details: Mapping[str, Any]
) -> float | None:
    """Return the reach of a mean or percentile: that of the median, and what processes add."""
    counts = [int(process["samples"]) for process in details.get("processes", [])]
    if (
        reach is None
        or not re.fullmatch(r"mean_ms|p\d+_ms", short)
        or len(counts) < 2
        or sum(counts) != len(samples)
    ):
        return None
    ends = np.cumsum(counts)
    each = [_statistic(short, part) for part in np.split(np.asarray(samples), ends[:-1])]
    spread = float(np.log(each).std(ddof=1)) / sqrt(len(each))
    return sqrt(reach**2 + (float(stdtrit(len(each) - 1, 0.975)) * spread) ** 2)


def _statistic(short: str, samples: Any) -> float:
    if short == "mean_ms":
        return float(samples.mean())
    return float(np.percentile(samples, int(short.removeprefix("p").removesuffix("_ms"))))


def _points(stage: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Yield the points of the stage's curves."""
    curves: Mapping[str, Mapping[str, float | None]] = stage.get("curves") or {}
    for name, points in curves.items():
        unit = unit_of(name)
        what = meaning(name, unit)
        if what.known == "part":
            continue
        stem = name.removesuffix("p50_ms")
        low, high = (curves.get(f"{stem}ci95_{end}_ms", {}) for end in ("low", "high"))
        for size, value in points.items():
            if value is None:
                continue
            key, ends = f"{name}[{size}]", (low.get(size), high.get(size))
            if what.known == "once":
                yield key, _once(value, unit, what)
            elif what.known == "sampled" and ends[0] and ends[1]:
                reach = log(ends[1] / ends[0]) / 2
                yield key, Figure(value, unit, what, reach, "intervals of its processes")
            else:
                yield key, Figure(value, unit, what)
