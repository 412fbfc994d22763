"""Compares two commands, or one in two checkouts, interleaved in one session.

python -m modelbench.gate "model=unet" "model=unet model.depth=5"
python -m modelbench.gate main-checkout branch-checkout -- --config-dir configs model=mine
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from modelbench.execution.comparing.output import EPILOG, add_options, ended, say, show

PROGRAM = "modelbench.gate"


def main(words: Sequence[str] | None = None) -> None:
    """Compare, and end with the exit status that says how it came out."""
    given = list(sys.argv[1:] if words is None else words)
    cut = given.index("--") if "--" in given else len(given)
    args = _parser().parse_args(given[:cut])
    args.words = given[cut + 1 :]
    sys.exit(ended(PROGRAM, lambda: run(args)))


def run(args: argparse.Namespace) -> int:
    """Compare; return the exit status."""
    from modelbench.execution.comparing.gating import compared, self_test, side_of
    from modelbench.execution.comparing.interleaved import Session

    session = Session(args.pairs, args.budget_s)
    baseline, candidate = (side_of(text, args.words) for text in (args.baseline, args.candidate))
    found = compared(baseline, candidate, session, args.threshold, say)
    notes, status = [], found.status
    if args.self_test:
        caught, note = self_test(baseline, session, args.threshold, say)
        notes.append(note)
        status = status if caught or status == 1 else 3
    show(found, (args.baseline, args.candidate), args, notes, status)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] BASELINE CANDIDATE [-- WORD ...]",
    )  # fmt: skip
    forms = "a command such as 'model=unet image_size=64', or the folder of a checkout"
    parser.add_argument("baseline", metavar="BASELINE", help=forms)
    parser.add_argument("candidate", metavar="CANDIDATE", help="likewise")
    parser.add_argument(
        "--pairs", type=_pairs, default=6, metavar="N",
        help="pairs of fresh processes; more tell smaller differences (6)",
    )  # fmt: skip
    parser.add_argument(
        "--budget-s", type=float, default=20.0, metavar="S",
        help="seconds of samples of each phase, both sides together (20)",
    )  # fmt: skip
    parser.add_argument(
        "--self-test", action="store_true",
        help="also slow the baseline down by the threshold, and see whether that is caught",
    )  # fmt: skip
    add_options(parser)
    return parser


def _pairs(text: str) -> int:
    if not text.isdigit() or int(text) < 3:
        raise argparse.ArgumentTypeError(f"{text}: expected 3 pairs or more")
    return int(text)


if __name__ == "__main__":
    main()
