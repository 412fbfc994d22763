"""A comparison in words, which all its forms share."""

from __future__ import annotations

from collections import Counter

from modelbench.measurement.comparison.comparison import Comparison
from modelbench.measurement.comparison.effect import Effect
from modelbench.measurement.comparison.structural import Change
from modelbench.results import Metric
from modelbench.sinks.tables import figure

CONTROL = "*"
"""Marks ratios of times in units of a control."""
COLUMNS = ("metric", "baseline", "candidate", "ratio", "95% interval", "verdict")


def headline(found: Comparison) -> str:
    """Return how it came out, in one sentence."""
    worse, unknown = found.regressions, found.ambiguous
    if worse:
        count = "a regression" if len(worse) == 1 else f"{len(worse)} regressions"
        return f"{count}: {'; '.join(worse[:3])}{'; ...' if len(worse) > 3 else ''}"
    if unknown:
        several = "one metric" if len(unknown) == 1 else f"{len(unknown)} metrics"
        limit = percent(found.threshold)
        return f"ambiguous: {several} may differ by more than {limit}, or not at all"
    return f"no regression beyond {percent(found.threshold)}"


def percent(share: float) -> str:
    """Write a share."""
    return f"{share * 100:.3g}%"


def advice(found: Comparison) -> list[str]:
    """Return what to do where it cannot be told, and what the figures rest on."""
    marked = any(effect.ratio and effect.ratio.in_control for effect in found.effects)
    note = "of the times in units of the control that was timed beside, which is known better"
    lines = [f"{CONTROL} {note}"] if marked else []
    if found.status != 3:
        return lines
    rests_on = list(dict.fromkeys(effect.why for effect in found.ambiguous if effect.why))
    return [
        *lines,
        *(f"rests on: {why}" for why in rests_on[:3]),
        found.remedy,
    ]


def conditions(found: Comparison) -> list[str]:
    """Return what differs in the conditions of the two, each once."""
    lines = []
    for pair in found.pairs:
        lines += [f"differs: {line}" for line in pair.differences.refused]
        lines += [f"also differs: {line}" for line in pair.differences.other]
    return list(dict.fromkeys(lines))


def shown(found: Comparison, *, everything: bool) -> list[Effect]:
    """Return the effects that a person wants to see."""
    if everything:
        return list(found.effects)
    return [e for e in found.effects if e.verdict != "SAME" and not _unknowable(e)]


def left_out(found: Comparison) -> str:
    """Return how many of the effects are not among them, and why."""
    counts: Counter[str] = Counter(
        "the same" if effect.verdict == "SAME" else "taken once, or following from others"
        for effect in found.effects
        if effect.verdict == "SAME" or _unknowable(effect)
    )
    parts = [f"{count} {what}" for what, count in counts.items()]
    return f"not shown: {', '.join(parts)} (--all)" if parts else ""


def called(change: Change) -> str:
    """Return a change with its job, where there are several."""
    return f"{change.job}: {change.text}" if change.job else change.text


def _unknowable(effect: Effect) -> bool:
    return effect.verdict == "AMBIGUOUS" and effect.known in {"once", "follows"}


def cells(effect: Effect) -> tuple[str, ...]:
    """Return a row of the table."""
    name = f"{effect.job}: {effect.name}" if effect.job else effect.name
    times, ratio = effect.times, effect.ratio
    mark = CONTROL if ratio and ratio.in_control else ""
    return (
        name,
        _value(effect.baseline, effect.unit),
        _value(effect.candidate, effect.unit),
        f"{times:.3f}{mark}" if times is not None else "",
        f"{ratio.interval[0]:.3f} to {ratio.interval[1]:.3f}" if ratio else "",
        effect.verdict,
    )


def _value(value: float, unit: str) -> str:
    written = figure(Metric(value, unit))
    return written if unit in {"count", ""} else f"{written} {unit}"
