"""What all plots share: figures without a window, colours, markers, hatches, logarithmic axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Okabe and Ito's colours, told apart by everybody, each with a marker and a hatch for black and
# white.
STYLES = [("#0072B2", "o", ""), ("#D55E00", "s", "///"), ("#009E73", "^", "..."),
          ("#CC79A7", "D", "xx"), ("#E69F00", "v", "\\\\\\"), ("#56B4E9", "P", "oo"),
          ("#000000", "X", "")]  # fmt: skip


def styles() -> Iterator[tuple[str, str, str]]:
    """Return colours with their markers and hatches, without end."""
    return cycle(STYLES)


def panels(count: int = 1, **options: Any) -> tuple[Any, Sequence[Any]]:
    """Make a figure that no window is opened for, with a row of `count` panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8 if count == 1 else 4 * count, 5 if count == 1 else 4),
                    layout="constrained")  # fmt: skip
    row = figure.subplots(1, count, squeeze=False, **options)[0]
    for panel in row:
        panel.grid(which="major", color="0.9")
        panel.set_axisbelow(True)
    return figure, row


def beside_and_below() -> tuple[Any, tuple[Any, Any, Any, Any]]:
    """Make a figure of four panels.

    A large one, one beside that shares its y, one below that shares its x, and an empty one in the
    corner, for legends.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(2, 1), height_ratios=(5, 2))
    large, corner = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 1])
    beside = figure.add_subplot(grid[0, 1], sharey=large)
    below = figure.add_subplot(grid[1, 0], sharex=large)
    for panel in (large, beside, below):
        panel.grid(which="major", color="0.9")
        panel.set_axisbelow(True)
    large.tick_params(labelbottom=False)
    beside.tick_params(labelleft=False)
    corner.set_axis_off()
    return figure, (large, beside, below, corner)


def plain_logs(*axes: Any) -> None:
    """Label logarithmic axes with plain numbers, at 1, 2 and 5, and nothing between."""
    for axis in axes:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())  # which would take half of the time of drawing


def sized_axis(panel: Any, name: str, sizes: Sequence[int]) -> None:
    """Let x be sizes, logarithmic, labelled where there are some."""
    panel.set_xscale("log")
    panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel(name)


def saved(figure: Any, directory: Path, name: str) -> list[str]:
    """Write the figure; return the files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(150)
    # By the canvases themselves: `savefig` draws everything twice.
    FigureCanvasAgg(figure).print_png(directory / f"{name}.png")
    figure.set_layout_engine("none")  # it has been found
    # Text stays text in the SVG, and the file is the same for the same data.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "modelbench"}):
        FigureCanvasSVG(figure).print_svg(directory / f"{name}.svg", metadata={"Date": None})
    return [f"{name}.png", f"{name}.svg"]
