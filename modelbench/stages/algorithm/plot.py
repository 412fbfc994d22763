"""A training: its loss and the norm of its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelbench.results.canvas import STYLES, panels, plain_logs, saved


def draw_training(
    losses: Sequence[float],
    norms: Sequence[float],
    chance: float | None,
    title: str,
    directory: Path,
) -> list[str]:
    """Draw both over the steps; `chance` is the loss of a model that knows nothing."""
    figure, row = panels(2)
    named = ("loss", losses), ("gradient norm", norms)
    for panel, (name, values), (colour, marker, _) in zip(row, named, STYLES, strict=False):
        steps = range(1, len(values) + 1)
        panel.plot(steps, values, marker, color=colour, linestyle="-", markersize=3)
        panel.set(xlabel="step", ylabel=name)
        panel.xaxis.get_major_locator().set_params(integer=True)
    if chance is not None:
        row[0].axhline(chance, color="black", linestyle="--", label=f"chance level: {chance:.3g}")
        row[0].legend()
    if all(norm > 0 for norm in norms):
        row[1].set_yscale("log")
        plain_logs(row[1].yaxis)
    figure.suptitle(title)
    return saved(figure, directory, "plots/training")
