"""A comparison for the terminal, for a pull request and for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelbench.measurement.comparison.comparison import Comparison
from modelbench.measurement.comparison.effect import Effect
from modelbench.sinks.comparison import words

COLUMNS = ("job", "metric", "unit", "baseline", "candidate", "ratio", "ci_low", "ci_high",
           "better", "verdict", "good", "why")  # fmt: skip
"""Of an effect as data."""
GOOD = {True: "green", False: "red", None: "yellow"}


def table(found: Comparison, *, everything: bool = False) -> RenderableType:
    """Lay it out for the terminal."""
    colour = {0: "green", 1: "red", 3: "yellow"}[found.status]
    parts: list[RenderableType] = [Text(words.headline(found), style=f"bold {colour}")]
    parts += [Text(line, style="dim") for line in words.conditions(found)]
    for change in found.changes:
        style = "red" if change.regression else "yellow"
        parts.append(Text(words.called(change), style=style))
    effects = words.shown(found, everything=everything)
    if effects:
        parts.append(_rows(effects))
    parts += [Text(line) for line in words.advice(found)]
    parts += [Text(line, style="dim") for line in [words.left_out(found), *found.unmatched] if line]
    return Group(*parts)


def _rows(effects: list[Effect]) -> RenderableType:
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in words.COLUMNS:
        rows.add_column(column, justify="left" if column in {"metric", "verdict"} else "right")
    for effect in effects:
        *plain, verdict = words.cells(effect)
        colour = GOOD[effect.good] if effect.verdict != "SAME" else "dim"
        rows.add_row(*map(Text, plain), Text(verdict, style=colour))
    return rows


def markdown(found: Comparison, *, everything: bool = False) -> str:
    """Write it for a pull request."""
    lines = [f"**{words.headline(found)}**", ""]
    lines += [f"- {words.called(change)}" for change in found.changes]
    lines += [f"- {line}" for line in words.conditions(found)]
    effects = words.shown(found, everything=everything)
    if effects:
        lines += ["", f"| {' | '.join(words.COLUMNS)} |", "|---|---:|---:|---:|---:|---|"]
        lines += [f"| {' | '.join(map(_escaped, words.cells(effect)))} |" for effect in effects]
    notes = [*words.advice(found), words.left_out(found), *found.unmatched]
    return "\n".join([*lines, "", *(f"{line}  " for line in notes if line)]).rstrip() + "\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def plain(found: Comparison) -> dict[str, Any]:
    """Return it as data for programs."""
    return {
        "status": found.status,
        "headline": words.headline(found),
        "threshold": found.threshold,
        "regressions": found.regressions,
        "changes": [vars(change) for change in found.changes],
        "conditions": words.conditions(found),
        "unmatched": list(found.unmatched),
        "effects": [_plain(effect) for effect in found.effects],
    }


def _plain(effect: Effect) -> dict[str, Any]:
    ratio = effect.ratio
    return {
        "job": effect.job,
        "metric": effect.name,
        "unit": effect.unit,
        "baseline": effect.baseline,
        "candidate": effect.candidate,
        "ratio": effect.times,
        "ci_low": ratio.interval[0] if ratio else None,
        "ci_high": ratio.interval[1] if ratio else None,
        "better": effect.better,
        "verdict": effect.verdict,
        "good": effect.good,
        "why": effect.why,
    }
