"""What each scheme may take and lose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelbench.measurement.timing.pairing import Pairs


@dataclass(frozen=True)
class Limits:
    """What each scheme may take and lose."""

    budget_s: float
    """Seconds of samples."""
    processes: int
    """Processes that share them."""
    max_drop: float
    """Share of accuracy, or of perplexity."""


def interleaved(budget_s: float, *, quick: bool = True, warmup_s: float = 0.05) -> Pairs:
    """Return how two calls are timed for so long; not `quick` ones get no more than two blocks."""
    from modelbench.measurement.timing.pairing import Pairs
    from modelbench.measurement.timing.statistics import LEAST

    return Pairs(budget_s, min_blocks=LEAST if quick else 2, max_blocks=400, warmup_s=warmup_s)
