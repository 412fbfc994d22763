"""All there is to know about a PyTorch model: `python -m modelbench`, or `modelbench.measure`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelbench.execution.api.calls import compare_calls, timed
    from modelbench.execution.api.measure import measure, profile
    from modelbench.execution.api.summary import summary

__version__ = "0.1.0"

__all__ = ["compare_calls", "measure", "profile", "summary", "timed"]

_FROM = {"compare_calls": "calls", "measure": "measure", "profile": "measure",
         "summary": "summary", "timed": "calls"}  # fmt: skip
"""Imported when they are wanted: every worker imports this file, and the command line first of
all."""


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(importlib.import_module(f"modelbench.execution.api.{_FROM[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
