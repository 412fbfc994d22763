"""What became of a compiled phase: where its graph breaks and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from modelbench.measurement.profiling.captured import Captured, capture_all
from modelbench.results.attempts import in_one_line

MOST = 5
"""Breaks that are told one by one."""


@dataclass(frozen=True)
class Break:
    """One place where a graph ends before its module does."""

    reason: str
    where: str
    """File and line of the model's code."""


@dataclass(frozen=True)
class Explained:
    """The graphs that a phase's modules are compiled into."""

    graphs: int
    breaks: Sequence[Break]
    operations: int
    modules: Sequence[str]
    """Classes of what was compiled: the outermost modules that the phase calls."""

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        breaks = [asdict(each) for each in self.breaks]
        return {"graphs": self.graphs, "graph_breaks": breaks, "operations": self.operations}

    def sentences(self) -> list[str]:
        """Say it as a person would."""
        what = ", ".join(self.modules)
        if not self.breaks:
            count = "one graph" if self.graphs == 1 else f"{self.graphs} graphs"
            return [f"{what} compiles into {count} of {self.operations:,} operations, no breaks"]
        head = f"{what} compiles into {self.graphs} graphs, with {len(self.breaks)} breaks"
        said = [f"graph break at {each.where}: {each.reason}" for each in self.breaks[:MOST]]
        more = len(self.breaks) - MOST
        return [head, *said, *([f"and {more} more graph breaks"] if more > 0 else [])]


def explained(model: nn.Module, call: Callable[[], Any]) -> Explained:
    """Return what torch.compile makes of the outermost modules that the call runs."""
    graphs = operations = 0
    breaks: list[Break] = []
    kinds: list[str] = []
    first: dict[str, Captured] = {}
    for path, captured in capture_all(model, call):
        first.setdefault(path, captured)
    for each in first.values():
        with torch.inference_mode():
            found: Any = torch._dynamo.explain(each.module.forward)(*each.args, **each.kwargs)
        graphs += found.graph_count
        operations += found.op_count
        breaks += [Break(in_one_line(reason.reason), _where(reason)) for reason in
                   found.break_reasons]  # fmt: skip
        kinds.append(type(each.module).__name__)
    return Explained(graphs, tuple(dict.fromkeys(breaks)), operations, kinds)


def _where(reason: Any) -> str:
    stack = getattr(reason, "user_stack", None)
    if not stack:
        return "an unknown line"
    last = stack[-1]
    return f"{last.filename.rpartition('/')[2]}:{last.lineno}"
