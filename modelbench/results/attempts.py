"""Attempts: what goes wrong, in one line, and until when there is time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from modelbench.results.origin import of_types, root_cause

LONGEST = 200
"""Characters of an error message."""


def past(end: float) -> bool:
    """Return whether it is later than that."""
    return perf_counter() > end


def error_of(act: Callable[[], Any]) -> str | None:
    """Do something; return what it raises in one line."""
    try:
        act()
    except Exception as error:  # the model's code may raise anything
        return in_one_line(error)
    return None


def in_one_line(error: BaseException) -> str:
    """Return an exception's type and first line, cut where that is a whole paragraph."""
    error = root_cause(error)
    line = str(error).strip().partition("\n")[0]
    short = line if len(line) <= LONGEST else line[:LONGEST] + "..."
    return f"{type(error).__name__}: {short}{of_types(error)}"
