"""The tables of one phase: by module, by kind of module, by operator."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from modelbench.measurement.profiling.layer_times import LayerTimes, Time
from modelbench.measurement.profiling.recording import Recording
from modelbench.measurement.profiling.work import Work, around

OUTSIDE_MODULES = "(outside modules)"
MOSTLY = 3
"""Operators that a row names."""


@dataclass(frozen=True)
class Row:
    """One module, or what stands beside modules; milliseconds of one call of the phase."""

    path: str
    kind: str
    calls: float
    own_ms: float
    """Without what is within it."""
    low_ms: float | None
    """The 95% interval of the own time, in this run."""
    high_ms: float | None
    total_ms: float
    share: float
    """Of the call, by the own time."""
    cumulative_share: float
    leaf: bool
    params: int
    """Its own."""
    macs: int | None
    gmacs_per_s: float | None
    peak_share: float | None
    """Of the machine's peak."""
    bytes: int | None
    inputs: str
    outputs: str
    operators: dict[str, float]
    """Share of the own time in the operators that take most of it."""

    @property
    def reach(self) -> float | None:
        """Half of the interval's width, relative to the own time."""
        if self.low_ms is None or self.high_ms is None or self.own_ms <= 0:
            return None
        return (self.high_ms - self.low_ms) / 2 / self.own_ms

    def told(self) -> dict[str, Any]:
        """Return it as plain data, with the names that readers of the results know."""
        found = asdict(self)
        found["class"] = found.pop("kind")
        return found


@dataclass(frozen=True)
class Sources:
    """What the rows of one phase are made of."""

    times: LayerTimes
    work: Work | None
    recording: Recording | None
    modules: Mapping[str, nn.Module]
    peak_macs_per_s: float | None


def rows_of(found: Sources) -> list[Row]:
    """Return all rows, slowest first, which add up to the phase; what is too short is one."""
    times = found.times
    seen = [i for i in range(len(times.paths)) if times.called(i) > 0]
    known = frozenset(times.paths[i] for i in seen)
    params, holding = _parameters(found.modules, known)
    work = found.work.within(known) if found.work else None
    operators = found.recording.by_module() if found.recording else {}
    waiting = found.recording.waiting() if found.recording else {}
    rows, short = [], []
    for number in seen:
        time = times.own_time([number])
        if time.ms < times.resolution_ms:
            short.append(number)
            continue
        path = times.paths[number]
        own = _own(path, work, time.ms, found.peak_macs_per_s)
        rows.append(Row(
            path=path, kind=times.kinds[number], calls=times.called(number),
            **_timed(time, times.median_ms), total_ms=times.total_ms(number),
            leaf=path not in holding, params=params[path],
            operators=_mostly(operators.get(path, {}), waiting.get(path, 0.0)), **own,
        ))  # fmt: skip
    if short:
        least = f"under {times.resolution_ms * 1e3:.2g} µs"
        name = f"({len(short)} modules {least} each)"
        beside = _beside(name, times.own_time(short), times.median_ms, len(short))
        held = sum(params[times.paths[number]] for number in short)
        rows.append(replace(beside, params=held))
    outside = times.outside_time()
    if abs(outside.ms) >= times.resolution_ms:
        rows.append(_beside(OUTSIDE_MODULES, outside, times.median_ms, 1))
    return list(_cumulated(sorted(rows, key=lambda row: -row.own_ms)))


def _parameters(
    modules: Mapping[str, nn.Module], known: frozenset[str]
) -> tuple[dict[str, int], set[str]]:
    """Return the parameters of those known, each once, and which of them hold others of them.

    What a module calls in no way that is seen, as nn.TransformerEncoderLayer on its fast path, is
    its own.
    """
    params, met = dict.fromkeys(known, 0), set[int]()
    for path, module in modules.items():
        place = around(path, known)
        for parameter in module.parameters(recurse=False):
            if place is not None and id(parameter) not in met:
                met.add(id(parameter))
                params[place] += parameter.numel()
    outer = (around(path.rpartition(".")[0], known) for path in known if path)
    return params, {path for path in outer if path is not None}


def accounted(rows: Sequence[Row]) -> float:
    """Return the share of the plain call that all rows add up to."""
    return sum(row.share for row in rows)


def _own(path: str, work: Work | None, ms: float, peak: float | None) -> dict[str, Any]:
    macs = work.macs[path] if work else None
    rate = macs / ms * 1e3 if macs and ms > 0 else None
    return {
        "macs": macs,
        "gmacs_per_s": rate and rate / 1e9,
        "peak_share": rate / peak if rate and peak else None,
        "bytes": work.bytes[path] if work else None,
        "inputs": work.inputs.get(path, "") if work else "",
        "outputs": work.outputs.get(path, "") if work else "",
    }


def _timed(time: Time, whole_ms: float) -> dict[str, Any]:
    low, high = time.interval or (None, None)
    return {
        "own_ms": time.ms, "low_ms": low, "high_ms": high, "share": time.ms / whole_ms,
        "cumulative_share": 0.0,
    }  # fmt: skip


def _beside(name: str, time: Time, whole_ms: float, calls: int) -> Row:
    return Row(
        path=name, kind="", calls=calls, **_timed(time, whole_ms), total_ms=time.ms, leaf=False,
        params=0, macs=None, gmacs_per_s=None, peak_share=None, bytes=None, inputs="", outputs="",
        operators={},
    )  # fmt: skip


def _mostly(operators: Mapping[str, float], waiting: float) -> dict[str, float]:
    """Return the operators that take most of a module's own time, as shares of it.

    Of a container it is what runs between its layers: attention, additions, or Python.
    """
    whole = sum(operators.values()) + waiting
    if not whole:
        return {}
    most = sorted(operators.items(), key=lambda item: -item[1])[:MOSTLY]
    return {name: spent / whole for name, spent in most if spent / whole >= 0.05}


def _cumulated(rows: list[Row]) -> Iterator[Row]:
    reached = 0.0
    for row in rows:
        reached += row.share
        yield replace(row, cumulative_share=reached)


@dataclass(frozen=True)
class Kind:
    """All modules of one class, or all calls of one operator."""

    name: str
    count: int
    """Modules, or calls of the operator."""
    calls: float
    ms: float
    share: float
    cumulative_share: float

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def kinds_of(rows: list[Row]) -> list[Kind]:
    """Add the rows up by class; containers stand for what runs between their layers."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        name = row.kind if row.leaf else f"{row.kind} (between its layers)"
        groups[name if row.kind else row.path].append(row)
    found = [
        (name, len(of), sum(r.calls for r in of), sum(r.own_ms for r in of),
         sum(r.share for r in of))
        for name, of in groups.items()
    ]  # fmt: skip
    return _ranked(found)


def operators_of(recording: Recording, median_ms: float) -> list[Kind]:
    """Return the operators' own times, scaled to the call as it is without the profiler."""
    operators = recording.operators()
    whole = sum(spent for _, spent in operators.values()) or 1.0
    found = [
        (name, count, float(count), spent / whole * median_ms, spent / whole)
        for name, (count, spent) in operators.items()
        if spent > 0
    ]
    return _ranked(found)


def _ranked(found: list[tuple[str, int, float, float, float]]) -> list[Kind]:
    ranked, reached = [], 0.0
    for name, count, calls, ms, share in sorted(found, key=lambda each: -each[3]):
        reached += share
        ranked.append(Kind(name, count, calls, ms, share, reached))
    return ranked


def between_layers(rows: list[Row]) -> float:
    """Return the share of the call that passes in no layer: within containers, or outside."""
    return sum(
        row.share for row in rows if not row.leaf and (row.kind or row.path == OUTSIDE_MODULES)
    )


def write_rows(rows: list[Row], file: Path) -> None:
    """Write all rows as CSV."""
    names = ["path", "class", "calls", "own_ms", "low_ms", "high_ms", "total_ms", "share",
             "cumulative_share", "params", "macs", "gmacs_per_s", "peak_share", "bytes", "inputs",
             "outputs", "operators"]  # fmt: skip
    with file.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, names, extrasaction="ignore")
        table.writeheader()
        for row in rows:
            operators = ", ".join(f"{name} {share:.0%}" for name, share in row.operators.items())
            table.writerow({**row.told(), "operators": operators})
