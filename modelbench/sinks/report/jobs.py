"""The jobs of a sweep as rows, and which of their figures a person looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from modelbench.measurement.comparison.meaning import Better, meaning, unit_of

Row = Mapping[str, Any]

CHOICES = ("model", "device", "precision", "test", "options")
"""What a job is by its groups."""
MAIN = ("benchmark/*/p50_ms", "structure/params", "structure/macs_g", "structure/size_mib",
        "benchmark/*/items_per_s", "memory/*_peak_mib", "quantization/*/speedup",
        "quantization/*/sqnr_db", "quantization/*accuracy", "quantization/*/perplexity",
        "algorithm/loss_last", "algorithm/accuracy_after", "algorithm/step_ms")  # fmt: skip
"""What is compared first, in this order."""


@dataclass(frozen=True)
class Jobs:
    """A sweep's jobs."""

    rows: Sequence[Row]

    @cached_property
    def axes(self) -> list[str]:
        """The sizes that jobs have."""
        if not self.rows:
            return []
        keys = self._keys
        return [key for key in keys[keys.index("reason") + 1 :] if "/" not in key]

    @cached_property
    def varied(self) -> list[str]:
        """What differs between jobs: sizes first, then groups."""
        keys = (*self.axes, *CHOICES)
        return [k for k in keys if len({str(row.get(k)) for row in self.rows}) > 1]

    @cached_property
    def metrics(self) -> list[str]:
        """All metrics but those that say how others were measured; the main ones first."""
        found = [k for k in self._keys if "/" in k and meaning(k, unit_of(k)).known != "part"]
        first = [key for pattern in MAIN for key in found if fnmatchcase(key, pattern)]
        # What few jobs have comes after what many have: a failed one more or less is no difference.
        first.sort(key=lambda key: 2 * len(self.having(key)) < len(self.rows))
        return list(dict.fromkeys([*first, *found]))

    @cached_property
    def differing(self) -> list[str]:
        """The metrics that several jobs have, and in which they differ."""
        return [key for key in self.metrics if len(set(self.having(key))) > 1]

    def main(self, most: int) -> list[str]:
        """Return at most so many main metrics in which jobs differ."""
        return [
            key for key in self.differing
            if any(fnmatchcase(key, pattern) for pattern in MAIN)
        ][:most]  # fmt: skip

    def having(self, metric: str) -> list[float]:
        """Return the values of a metric."""
        return [row[metric] for row in self.rows if isinstance(row.get(metric), int | float)]

    def label(self, row: Row, but: Sequence[str] = ()) -> str:
        """Name a job by what tells it from others, less what is told elsewhere."""
        keys = [key for key in self.varied if key not in but] if but else self._telling
        return _told(row, keys) or ("" if but else f"job {row['job']}")

    @cached_property
    def _telling(self) -> list[str]:
        """What tells all jobs apart: the model alone, where that is enough."""
        ordered = sorted(self.varied, key=lambda key: key not in CHOICES)
        for count in range(1, len(ordered)):
            if len({_told(row, ordered[:count]) for row in self.rows}) == len(self.rows):
                return ordered[:count]
        return ordered

    @cached_property
    def _keys(self) -> list[str]:
        return list(dict.fromkeys(key for row in self.rows for key in row))


def _told(row: Row, keys: Sequence[str]) -> str:
    parts = (
        str(row[key]) if key in CHOICES else f"{key}={row[key]}"
        for key in keys
        if row.get(key) not in {None, ""}
    )
    return ", ".join(parts)


def better(metric: str) -> Better:
    """Return which way a metric is better; of sizes and counts less is."""
    found = meaning(metric, unit_of(metric)).better
    return "lower" if found == "neither" else found
