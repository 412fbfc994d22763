"""`modelbench.summary`: the layer table at once, in the caller's process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from modelbench.execution.api.traced import Row, traced

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor, nn

COLUMNS = ("layer", "class", "inputs", "outputs", "params", "macs", "activations_mib", "calls")
SHOWN = ("layer", "class", "outputs", "params", "macs")
MIB = 2**20


@dataclass(frozen=True)
class Summary:
    """The modules of a model as they ran; printed, a tree down to `depth`."""

    rows: Sequence[Row]
    uncounted: Mapping[str, int]
    """Operations without a formula -> how often they ran."""
    depth: int | None
    columns: Sequence[str]

    @property
    def params(self) -> int:
        """Parameters of the whole."""
        return self.rows[0].params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the call, exact."""
        return self.rows[0].macs

    def to_pandas(self) -> DataFrame:
        """Return a row a module, all columns."""
        from pandas import DataFrame

        return DataFrame([_cells(row) for row in self.rows], columns=list(COLUMNS))

    def __repr__(self) -> str:
        """Return the tree as a table."""
        lines = [list(self.columns), *([text for _, text in cells] for cells in self._table())]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        right = [
            column in {"params", "macs", "activations_mib", "calls"} for column in self.columns
        ]
        text = [
            "  ".join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([text[0], "-" * max(map(len, text)), *text[1:], "", *self._totals()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for _, text in cells) + "</tr>"
            for cells in self._table()
        )
        totals = "<br>".join(map(escape, self._totals()))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{totals}</p>"

    def _table(self) -> list[list[tuple[str, str]]]:
        shown = [row for row in self.rows if self.depth is None or row.depth <= self.depth]
        table = []
        for row in shown:
            cells = _cells(row)
            cells["layer"] = "  " * row.depth + (row.path.rpartition(".")[2] or "(model)")
            table.append([(column, _text(cells[column])) for column in self.columns])
        return table

    def _totals(self) -> list[str]:
        activations = self.rows[0].activations / MIB
        lines = [
            f"{self.params:,} parameters, {self.macs / 1e9:,.4g} GMACs, "
            f"{activations:,.1f} MiB of activations"
        ]
        if self.uncounted:
            lines.append(f"the MACs exclude {', '.join(self.uncounted)}: no formula is known")
        return lines


def summary(
    module: nn.Module,
    inputs: Tensor | Sequence[Any] | Mapping[str, Any],
    *,
    depth: int | None = 3,
    columns: Sequence[str] = SHOWN,
) -> Summary:
    """Call a module once where it is, and return its layers with shapes, parameters and exact MACs.

    `inputs` are a tensor, a tuple of arguments or a mapping of them, on the module's device.
    Nothing of the module is changed. Raises ValueError for an unknown column, and what the module
    raises, with a note of what its forward takes.
    """
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown:
        raise ValueError(f"columns={unknown}: expected some of {', '.join(COLUMNS)}")
    rows, uncounted = traced(module, inputs)
    return Summary(rows, uncounted, depth, tuple(columns))


def _cells(row: Row) -> dict[str, Any]:
    values = (
        row.path, row.kind, row.inputs, row.outputs, row.params, row.macs,
        row.activations / MIB, row.calls,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
