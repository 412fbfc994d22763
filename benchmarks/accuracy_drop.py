"""Whether the interval of an accuracy's drop holds: python benchmarks/accuracy_drop.py.

Schemes that are made up, whose true drop is known: of a model that is right in 80% of all cases,
1% or 5% of the samples change either way, beside the drop. `wrongly within` is how often a drop
just over the bound is said to be within it.
"""

from __future__ import annotations

import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from modelbench.measurement.numerics.quality import of_accuracy

TRIALS, RIGHT = 4000, 0.8
DROPS, SAMPLES, CHANGED = (0.0, 0.01, 0.03), (200, 500, 1000, 5000), (0.01, 0.05)
LEAST, MOST_WRONG = 0.93, 0.05


def main() -> None:
    """Print a row for each combination."""
    table = Table("true drop", "samples", "changed", "held", "middle width", "wrongly within")
    rng = np.random.default_rng(0)
    met = True
    for lost in DROPS:
        for samples in SAMPLES:
            for changed in CHANGED:
                held, widths, wrong = [], [], []
                for _ in range(TRIALS):
                    before, draw = rng.random(samples) < RIGHT, rng.random(samples)
                    after = np.where(
                        before, draw > changed / 2 / RIGHT + lost / RIGHT,
                        draw < changed / 2 / (1 - RIGHT),
                    )  # fmt: skip
                    found = of_accuracy(before, after)
                    held.append(found.interval[0] <= lost <= found.interval[1])
                    widths.append(found.interval[1] - found.interval[0])
                    wrong.append(found.verdict(max(0.0, lost - 1e-9)) == "within")
                row = np.mean(held), np.median(widths), np.mean(wrong)
                table.add_row(f"{lost:.0%}", f"{samples:,}", f"{changed:.0%}",
                              *(f"{each:.1%}" for each in row))  # fmt: skip
                met &= bool(row[0] >= LEAST and row[2] <= MOST_WRONG)
    Console().print(table)
    print("met" if met else "MISSED")
    sys.exit(not met)


if __name__ == "__main__":
    main()
