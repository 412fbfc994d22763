"""How often a comparison is wrong, and what it notices: python benchmarks/comparisons.py FOLDER.

FOLDER is one that `between_runs.py --folder FOLDER` has filled. Of each model's runs 200 pairs are
drawn and compared: with each other, where any FASTER, SLOWER, BETTER or WORSE is false, and with
the candidate's times made longer by 2, 5 and 10%, where SLOWER is right. With `--gate N` instead: N
sessions of `modelbench.gate` of the cnn against itself, and of each slowdown.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from modelbench.execution.comparing.gating import with_phases
from modelbench.execution.comparing.interleaved import Command, Session, interleaved
from modelbench.measurement.comparison.comparison import Comparison, compare, of_pairs
from modelbench.measurement.comparison.comparison import Pair as Both
from modelbench.results.reading import read_results

PAIRS, SLOWER, FALSE = 200, (0.0, 0.02, 0.05, 0.10), 0.05
TIMES = ("p50_ms", "mean_ms", "ci95_low_ms", "ci95_high_ms", "within_ci95_low_ms",
         "within_ci95_high_ms", "control_ratio", "control_ratio_ci_low",
         "control_ratio_ci_high", "p90_ms", "p95_ms", "p99_ms")  # fmt: skip


def main() -> None:
    """Draw pairs, or run gates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--gate", type=int, default=0, metavar="N")
    given = parser.parse_args()
    if given.gate:
        sys.exit(not gates(given.gate))
    table = Table("model", "runs", *(f"slower by {s:.0%}" if s else "false" for s in SLOWER))
    met = True
    for folder in sorted(p for p in given.folder.iterdir() if (p / "..").is_dir()):
        runs = [read_results(file) for file in sorted(folder.glob("*/results.json"))]
        runs = [run for run in runs if run["status"] == "passed"]
        if len(runs) < 2:
            continue
        rng = random.Random(0)
        pairs = [rng.sample(runs, 2) for _ in range(PAIRS)]
        shares = [sum(told(one, two, share) for one, two in pairs) / PAIRS for share in SLOWER]
        met &= shares[0] <= FALSE
        table.add_row(folder.name, f"{len(runs)}", *(f"{share:.1%}" for share in shares))
    Console().print(table)
    print("met" if met else "MISSED")
    sys.exit(not met)


def told(one: Mapping[str, Any], two: Mapping[str, Any], share: float) -> bool:
    """Return whether there is a verdict: any of equals, SLOWER of a median that is."""
    found = compare([one], [slowed(two, share)])
    if not share:
        return any(effect.good is not None for effect in found.effects)
    return _slower(found)


def _slower(found: Comparison) -> bool:
    medians = [effect for effect in found.effects if effect.name.endswith("/p50_ms")]
    return any(effect.verdict == "SLOWER" for effect in medians)


def slowed(document: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Return a run whose phase takes so much longer."""
    made: dict[str, Any] = copy.deepcopy(dict(document))
    stage = made["stages"]["benchmark"]
    for name, metric in stage["metrics"].items():
        if name.rpartition("/")[2] in TIMES and name.count("/") == 2:
            metric["value"] *= 1 + share
    for name, samples in stage["series"].items():
        stage["series"][name] = [ms * (1 + share) for ms in samples]
    return made


def gates(count: int) -> bool:
    """Run so many sessions of each slowdown; return whether few enough of equals were wrong."""
    words = ["model=cnn"]
    session = Session(pairs=6, budget_s=6.0)
    table = Table("slower by", "sessions", "SLOWER", "FASTER", "SAME", "AMBIGUOUS")
    wrong = 0
    for share in SLOWER:
        verdicts = []
        for number in range(count):
            baseline, candidate = Command(words), Command(words, slower=share)
            own = Session(session.pairs, session.budget_s, seed=number)
            found = interleaved(baseline, candidate, own, lambda _: None)
            verdicts.append(_verdict(found))
        wrong += sum(v in {"SLOWER", "FASTER"} for v in verdicts) if not share else 0
        names = ("SLOWER", "FASTER", "SAME", "AMBIGUOUS")
        table.add_row(f"{share:.0%}", f"{count}", *(f"{verdicts.count(name)}" for name in names))
        Console().print(table)
    return wrong <= max(1, round(FALSE * count))


def _verdict(phases: Mapping[str, Any]) -> str:
    document: dict[str, Any] = {"status": "passed", "device": "cpu", "stages": {}}
    one, two = (with_phases(document, phases, side) for side in (0, 1))
    ratios = {f"benchmark/{name}/p50_ms": phase.ratio for name, phase in phases.items()}
    found = of_pairs([Both("", one, two, ratios=ratios)], 0.02)
    (effect,) = _medians(found.effects)
    return str(effect.verdict)


def _medians(effects: Sequence[Any]) -> list[Any]:
    return [effect for effect in effects if effect.name.endswith("/p50_ms")]


if __name__ == "__main__":
    main()
