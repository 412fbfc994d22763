"""What one stage found, as it hands it back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


class Skip(Exception):  # noqa: N818  (a result, not an error)
    """Raised by a stage that does not apply; the message is the reason."""


@dataclass(frozen=True)
class Metric:
    """One finite number with its unit."""

    value: float
    unit: str


@dataclass(frozen=True)
class Table:
    """Rows that a person reads beside the metrics."""

    title: str
    columns: list[tuple[str, str]]
    """Each one's name and unit; the unit of words is 'text'."""
    rows: list[list[str | float | None]]
    first: int = 10
    """Rows that a terminal shows; a page has all."""


@dataclass(frozen=True)
class Further:
    """What fresh processes are to add to a stage that has run."""

    processes: int
    """How many are still to come; with none, only what they were to be followed by."""
    earlier: Any
    """What those before them have found; whatever pickles."""
    died: tuple[str, ...] = ()
    """Why those that died did so."""


@dataclass
class Report:
    """What one stage found. Names are short here; `Result` puts the stage's name before them."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    """Figures over the sizes of an axis."""
    failure: str | None = None
    """Why the stage has failed, though it ran through and its figures stand."""
    details: dict[str, Any] = field(default_factory=dict)
    """Plain data for whoever reads `results.json`."""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Lines for the person at the terminal."""
    warnings: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    further: Further | None = None
    """What is to follow in other processes; their report takes the place of this one."""

    def fail(self, reason: str) -> None:
        """Let the stage fail though it goes on; several reasons stand side by side."""
        self.failure = f"{self.failure}; {reason}" if self.failure else reason

    def metric(self, name: str, value: float, unit: str) -> None:
        """Add a number; one that is not finite becomes a warning instead."""
        if math.isfinite(value):
            self.metrics[name] = Metric(value, unit)
        else:
            self.warnings.append(f"{name} came out as {value} and is not reported")
