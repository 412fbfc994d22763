"""A phase's figures as tables for a terminal and a page."""

from __future__ import annotations

from collections.abc import Sequence

from modelbench.results import Table
from modelbench.stages.profile.rows import Kind, Row
from modelbench.stages.profile.tree import Branch

SHOWN, FEW = 10, 6
"""Rows at a terminal."""
LEAST = 0.005
"""Share of the call below which a block is left out of the tree."""
MOST_BLOCKS = 80


def layers_table(phase: str, rows: Sequence[Row]) -> Table:
    """Show the slowest modules by their own time."""
    columns = [
        ("layer", "text"), ("class", "text"), ("own", "ms"), ("±", "share"), ("share", "share"),
        ("cumulative", "share"), ("calls", "count"), ("GMACs/s", ""), ("of peak", "share"),
        ("mostly", "text"), ("output", "text"), ("95% from", "ms"), ("to", "ms"),
    ]  # fmt: skip
    return Table(f"{phase}: time by layer, slowest first", columns, [
        [row.path or "(model)", row.kind, row.own_ms, row.reach, row.share, row.cumulative_share,
         row.calls, row.gmacs_per_s, row.peak_share, _mostly(row), row.outputs, row.low_ms,
         row.high_ms]
        for row in rows
    ], SHOWN)  # fmt: skip


def _mostly(row: Row) -> str:
    """Name the operator that takes most of a container's own time: a layer's is in its name."""
    if row.leaf or not row.operators:
        return ""
    name, share = next(iter(row.operators.items()))
    return f"{name.removeprefix('aten::')} {share:.0%}"


def tree_table(phase: str, root: Branch, whole_ms: float) -> Table:
    """Show the blocks, with those that repeat together."""
    columns = [("block", "text"), ("time", "ms"), ("share", "share"), ("params", "count"),
               ("GMACs", "")]  # fmt: skip
    shown = [
        (depth, branch) for depth, branch in root.walk() if branch.total_ms >= LEAST * whole_ms
    ]
    while len(shown) > MOST_BLOCKS:  # the deepest level last
        deepest = max(depth for depth, _ in shown)
        shown = [(depth, branch) for depth, branch in shown if depth < deepest]
    return Table(f"{phase}: time by block", columns, [
        ["\u2003" * depth + branch.label, branch.total_ms, branch.total_ms / whole_ms,
         branch.all_params, branch.all_macs / 1e9]
        for depth, branch in shown
    ], SHOWN)  # fmt: skip


def kinds_table(phase: str, kinds: Sequence[Kind]) -> Table:
    """Show the classes of modules."""
    return _ranked(f"{phase}: time by kind of layer", "class", "layers", kinds)


def operators_table(phase: str, operators: Sequence[Kind]) -> Table:
    """Show the operators."""
    return _ranked(f"{phase}: time by operator", "operator", "calls", operators)


def _ranked(title: str, name: str, count: str, kinds: Sequence[Kind]) -> Table:
    columns = [(name, "text"), (count, "count"), ("time", "ms"), ("share", "share"),
               ("cumulative", "share")]  # fmt: skip
    return Table(title, columns, [
        [kind.name, kind.count, kind.ms, kind.share, kind.cumulative_share] for kind in kinds
    ], FEW)  # fmt: skip
