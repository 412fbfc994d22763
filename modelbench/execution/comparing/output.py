"""What the commands that compare have in common: options, output, what ends them."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelbench.config.share import share

if TYPE_CHECKING:
    from modelbench.measurement.comparison.comparison import Comparison

EPILOG = (
    "exit status: 0 no regression, 1 a regression, 2 usage or nothing to compare, "
    "3 only ambiguous ones, 4 not comparable"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the threshold and the forms of output."""
    parser.add_argument(
        "--threshold", type=_threshold, default="2%",
        help="relative difference that does not matter; 2%% by default",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print it for a pull request")
    form.add_argument("--json", action="store_true", help="print it for programs")
    parser.add_argument("--all", action="store_true", help="print what is the same as well")
    parser.add_argument(
        "--html", type=Path, default=Path("compare.html"), metavar="FILE",
        help="page with the distributions; compare.html by default",
    )  # fmt: skip


def _threshold(text: str) -> float:
    try:
        found = share(text, "threshold")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not found:
        raise argparse.ArgumentTypeError("0: expected more, such as 2%")
    return found


def say(text: str) -> None:
    """Print a line of progress, beside the output."""
    from modelbench.sinks.console import terminal

    terminal(errors=True).print(text, style="dim", markup=False, soft_wrap=True)


def refuse(program: str, lines: Sequence[str], remedy: str = "") -> None:
    """Print why nothing could be compared."""
    from modelbench.sinks.console import terminal

    out = terminal(errors=True)
    from rich.markup import escape

    out.print(
        f"[bold red]{program}:[/] {'' if len(lines) > 1 else escape(lines[0])}", soft_wrap=True
    )
    for line in lines if len(lines) > 1 else []:
        out.print(f"  - {line}", markup=False, soft_wrap=True)
    if remedy:
        out.print(remedy, markup=False, soft_wrap=True)


def show(
    found: Comparison, labels: tuple[str, str], args: argparse.Namespace,
    notes: Sequence[str] = (), status: int | None = None,
) -> None:  # fmt: skip
    """Print it in the form that was asked for, and write the page.

    `status` is that of the command, where it is not the comparison's own.
    """
    from modelbench.sinks.comparison.page import page
    from modelbench.sinks.comparison.text import markdown, plain, table
    from modelbench.sinks.console import terminal

    if args.json:
        content = {**plain(found), "status": found.status if status is None else status}
        content["notes"] = list(notes)
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    elif args.markdown:
        lines = "".join(f"\n{note}\n" for note in notes)
        sys.stdout.write(markdown(found, everything=args.all) + lines)
    else:
        out = terminal()
        out.print(table(found, everything=args.all))
        for note in notes:
            out.print(note, markup=False, soft_wrap=True)
    try:
        args.html.write_text(page(found, *labels), encoding="utf-8", errors="replace")
    except OSError as error:
        say(f"{args.html} could not be written: {error}")
    else:
        say(f"Distributions: {args.html}")


def ended(program: str, act: Callable[[], int]) -> int:
    """Return the exit status of a command; what it raises for people is printed."""
    from modelbench.config.error import ConfigurationError
    from modelbench.execution.comparing.runs import UsageError
    from modelbench.measurement.comparison.comparison import (
        NotComparableError,
        NothingToCompareError,
    )
    from modelbench.results.reading import UnreadableError
    from modelbench.sinks.mlflow_runs import NotInStoreError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console may lack characters of names
            stream.reconfigure(errors="replace")
    try:
        return act()
    except NotComparableError as error:
        lines = ["not comparable; these differ:", *error.lines]
        refuse(program, lines, "--across-machines compares them all the same")
        return 4
    except ConfigurationError as error:
        refuse(program, error.errors)
    except (UsageError, UnreadableError, NotInStoreError, NothingToCompareError) as error:
        refuse(program, [str(error)])
    except KeyboardInterrupt:
        refuse(program, ["stopped by Ctrl-C"])
        return 130
    return 2
