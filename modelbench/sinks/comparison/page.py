"""A comparison as one page, with the samples of both laid over each other."""

from __future__ import annotations

import tempfile
from pathlib import Path

from modelbench.measurement.comparison.comparison import Comparison
from modelbench.sinks.comparison import words
from modelbench.sinks.comparison.plot import draw
from modelbench.sinks.report.html import BYTES, render
from modelbench.sinks.report.pictures import Album

STATES = {0: "passed", 1: "failed", 3: "skipped"}
"""The colour of an exit status."""


def page(found: Comparison, baseline: str, candidate: str) -> str:
    """Return the whole page; it needs no other file."""
    return render("compare.html.j2", title="Comparison", **_content(found, baseline, candidate))


def fragment(found: Comparison, baseline: str, candidate: str) -> str:
    """Return it for a notebook's cell."""
    return render("compare_body.html.j2", **_content(found, baseline, candidate))


def _content(found: Comparison, baseline: str, candidate: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        pictures, _ = Album(Path(folder), BYTES).add(draw(found, Path(folder)))
    return {
        "headline": words.headline(found),
        "state": STATES[found.status],
        "baseline": baseline,
        "candidate": candidate,
        "lines": [*words.advice(found), *words.conditions(found), *found.unmatched],
        "changes": [(words.called(change), change.regression) for change in found.changes],
        "columns": words.COLUMNS,
        "rows": [(words.cells(effect), effect) for effect in found.effects],
        "pictures": pictures,
    }
