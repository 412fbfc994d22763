"""What was tried, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from modelbench.results import Table
from modelbench.stages.recommend.bounds import Tried


def tried_table(tried: Sequence[Tried], chosen: Mapping[str, Any]) -> Table:
    """Show each with its figures and why it lost, fastest first."""
    columns = [
        ("tried", "text"), ("median", "ms"), ("times as fast", ""), ("fidelity", "dB"),
        ("size", "MiB"), ("export", "s"), ("outcome", "text"),
    ]  # fmt: skip
    ranked = sorted(tried, key=lambda t: t.time if t.time is not None else math.inf)
    rows: list[list[str | float | None]] = []
    for each in ranked:
        sqnr = each.sqnr_db if each.sqnr_db is not None and math.isfinite(each.sqnr_db) else None
        outcome = "chosen" if each.variant.label == chosen.get("label") else each.lost or ""
        rows.append([
            each.variant.label, each.p50_ms, each.time and 1 / each.time, sqnr,
            each.size_mib, each.export_s or None, outcome or "the default",
        ])  # fmt: skip
    return Table("what was tried", columns, rows, first=20)
