"""Draws a metric over the past: `python -m modelbench.history model=unet metric=NAME [FOLDER ...]`.

Runs are those of the MLflow store, of the folders that are given, or of outputs/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from modelbench.execution.comparing.output import ended, say

PROGRAM = "modelbench.history"


def main(words: Sequence[str] | None = None) -> None:
    """Draw it."""
    args = _parser().parse_args(words)
    sys.exit(ended(PROGRAM, lambda: run(args)))


def run(args: argparse.Namespace) -> int:
    """Print the table, write the files; return the exit status."""
    from modelbench.execution.comparing.past import past
    from modelbench.execution.comparing.runs import UsageError
    from modelbench.measurement.comparison.meaning import meaning, unit_of
    from modelbench.results.json_file import write_text
    from modelbench.sinks.comparison.history import chart, page, table
    from modelbench.sinks.comparison.otava import as_otava
    from modelbench.sinks.console import terminal
    from modelbench.sinks.report.vega import drawn

    folders = [Path(word) for word in args.words if Path(word).is_dir()]
    pairs = [word.partition("=") for word in args.words if not Path(word).is_dir()]
    odd = [key for key, sign, _ in pairs if not sign]
    wanted = {key: value for key, _, value in pairs}
    metric = wanted.pop("metric", None)
    if odd or metric is None:
        what = f"{odd[0]}: no folder" if odd else "no metric"
        raise UsageError(f"{what}; expected such as metric=benchmark/forward/p50_ms model=unet")
    found = past(metric, wanted, folders)
    better = meaning(metric, unit_of(metric)).better
    terminal().print(table(metric, found, better))
    try:
        args.html.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.html, page(metric, found, better))
        written = [str(args.html), *drawn({args.html.stem: chart(metric, found)}, args.html.parent)]
        if args.otava:
            written += map(str, as_otava(found, metric, better, args.otava))
    except OSError as error:
        raise UsageError(f"cannot be written: {error}") from error
    say(f"Written: {', '.join(written)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", description=__doc__)
    parser.add_argument(
        "words", nargs="+", metavar="WORD",
        help="metric=NAME, KEY=VALUE such as model=unet, and folders of runs",
    )  # fmt: skip
    parser.add_argument(
        "--html", type=Path, default=Path("history.html"), metavar="FILE",
        help="page to write, with a PNG and an SVG beside; history.html by default",
    )  # fmt: skip
    parser.add_argument(
        "--otava", type=Path, metavar="FOLDER", help="write what Apache Otava reads"
    )
    return parser


if __name__ == "__main__":
    main()
