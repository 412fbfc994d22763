"""What was tried, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from modelbench.results import Table
from modelbench.stages.recommend.bounds import Tried


def tried_table(tried: Sequence[Tried], chosen: Mapping[str, Any]) -> Table:
    """Show each with its figures and why it lost, fastest first."""
    judged = any(each.drop for each in tried)
    columns = [
        ("tried", "text"), ("median", "ms"), ("times as fast", ""), ("fidelity", "dB"),
        *([("loses", "%")] if judged else []), ("outcome", "text"), ("size", "MiB"),
        ("export", "s"),
    ]  # fmt: skip
    ranked = sorted(tried, key=lambda t: t.time if t.time is not None else math.inf)
    rows: list[list[str | float | None]] = []
    for each in ranked:
        sqnr = each.sqnr_db if each.sqnr_db is not None and math.isfinite(each.sqnr_db) else None
        outcome = "chosen" if each.variant.label == chosen.get("label") else each.lost or ""
        rows.append([
            each.variant.label, each.p50_ms, each.time and 1 / each.time, sqnr,
            *([None if each.drop is None else 100 * each.drop] if judged else []),
            outcome or "the default", each.size_mib, each.export_s or None,
        ])  # fmt: skip
    return Table("what was tried", columns, rows, first=20)
