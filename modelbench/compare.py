"""Compares two runs or sweeps: `python -m modelbench.compare BASELINE CANDIDATE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from modelbench.execution.comparing.output import EPILOG, add_options, ended, say, show

PROGRAM = "modelbench.compare"


def main(words: Sequence[str] | None = None) -> None:
    """Compare, and end with the exit status that says how it came out."""
    args = _parser().parse_args(words)
    sys.exit(ended(PROGRAM, lambda: run(args)))


def run(args: argparse.Namespace) -> int:
    """Compare; return the exit status."""
    from modelbench.execution.comparing.again import check_unchanged, run_again
    from modelbench.execution.comparing.runs import find
    from modelbench.measurement.comparison.comparison import compare, paired

    sides = find(args.baseline), find(args.candidate)
    for side in sides:
        for line in side.unreadable:
            say(f"left out: {line}")
    one, two = (side.documents for side in sides)
    pairs, _ = paired(one, two, {}) if args.calibrate else ([], [])
    if pairs:  # what is refused is refused before anything runs
        compare(one, two, threshold=args.threshold, across=args.across_machines)
        check_unchanged([pair.baseline for pair in pairs])
    calibration = {pair.job: run_again(pair.baseline, args.calibrate, say) for pair in pairs}
    found = compare(
        one, two, threshold=args.threshold, across=args.across_machines, calibration=calibration
    )
    show(found, (sides[0].label, sides[1].label), args)
    return found.status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description=__doc__, epilog=EPILOG
    )
    forms = "results.json, folder of a job or sweep, MLflow run id, or 'latest KEY=VALUE ...'"
    parser.add_argument("baseline", metavar="BASELINE", help=forms)
    parser.add_argument("candidate", metavar="CANDIDATE", help="likewise")
    parser.add_argument(
        "--across-machines", action="store_true",
        help="compare though machines or settings differ",
    )  # fmt: skip
    parser.add_argument(
        "--calibrate", type=_runs, default=0, metavar="N",
        help="run the baseline N times more, to learn how far its runs differ",
    )  # fmt: skip
    add_options(parser)
    return parser


def _runs(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: expected 2 runs or more")
    return int(text)


if __name__ == "__main__":
    main()
