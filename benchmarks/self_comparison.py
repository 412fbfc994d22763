"""How often a comparison errs: python benchmarks/self_comparison.py.

200 comparisons of a matrix product with itself, and of one that takes 2% and 5% longer; and the
interval of the median on simulated samples whose truth is known.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import torch
from report import table

from modelbench.measurement.timing.audit import of_samples
from modelbench.measurement.timing.pairing import Pairs, collect_pairs
from modelbench.measurement.timing.statistics import Statistics
from modelbench.measurement.timing.timing import Sample

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import numpy as np
from simulated import MEDIAN, Array, correlated, drifting, switching

VERDICTS = ("same", "faster", "slower", "ambiguous")
COMPARISONS, TRIALS = 200, 1000


def main() -> None:
    """Print both tables; status 1 where over 5% of comparisons with itself are called changed."""
    wrong = _comparisons()
    _intervals()
    sys.exit(wrong > 0.05)


def _comparisons() -> float:
    matrix = torch.randn(192, 192)
    rows, wrong = [], 0.0
    for slower in (0.0, 0.02, 0.05):
        found = Counter(_verdict(matrix, slower, seed) for seed in range(COMPARISONS))
        changed = (found["slower"] + found["faster"]) / COMPARISONS
        wrong = changed if not slower else wrong
        shares = [
            f"{found[v] / COMPARISONS:.1%}" for v in ("same", "faster", "slower", "ambiguous")
        ]
        rows.append((f"{slower:.0%}", *shares))
    columns = ("truly slower by", "same", "faster", "slower", "ambiguous")
    table("comparisons of a matrix product with itself", columns, rows)
    return wrong


def _verdict(matrix: torch.Tensor, slower: float, seed: int) -> str:
    """Compare with the same call; 'slower' adds its share to each of the second's samples."""

    def sampled(factor: float) -> Sample:
        def sample() -> tuple[float, float | None]:
            start = perf_counter()
            for _ in range(8):
                torch.mm(matrix, matrix)
            return (perf_counter() - start) * 1e3 * factor, None

        return sample

    pairs = Pairs(budget_s=0.2, min_blocks=30, max_blocks=60, warmup_s=0.005)
    return collect_pairs(sampled(1.0), sampled(1 + slower), pairs, seed).ratio.verdict


def _intervals() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for lag in (0.0, 0.3, 0.6, 0.8, 0.9, 0.95):
        for count in (30, 100, 300, 1000):
            trials = [correlated(rng, count, lag) for _ in range(TRIALS)]
            rows.append((f"correlation {lag:g}", count, *_covered(trials, MEDIAN)))
    rows.append(
        ("drift of 10%", 300, *_covered([drifting(rng, 300, 0.1) for _ in range(TRIALS)], MEDIAN))
    )
    rows.append(("two states", 300, *_covered([switching(rng, 300) for _ in range(TRIALS)], 105.0)))
    columns = (
        "samples",
        "number",
        "claimed",
        "covered of these",
        "claimed, missed",
        "audit speaks",
    )
    table("95% intervals on simulated samples", columns, rows)


def _covered(trials: list[Array], truth: float) -> tuple[str, ...]:
    """Return the shares of trials; drifting and switching ones count as claimed if unremarked."""
    found = [(Statistics.of(list(t)), bool(of_samples(list(t)))) for t in trials]
    claimed = [s.interval for s, told in found if s.covers and not told and s.interval]
    good = sum(low <= truth <= high for low, high in claimed)
    share = f"{good / len(claimed):.1%}" if claimed else "-"
    missed = (len(claimed) - good) / len(found)
    spoken = sum(told for _, told in found) / len(found)
    return f"{len(claimed) / len(found):.1%}", share, f"{missed:.1%}", f"{spoken:.1%}"


if __name__ == "__main__":
    main()
