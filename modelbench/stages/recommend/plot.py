"""What was tried: speed against fidelity and against size, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelbench.results.canvas import panels, saved, styles
from modelbench.stages.recommend.bounds import Tried

EXACT_DB = 150.0
"""Where outputs are drawn that differ in nothing, or in the last bits."""


def draw_pareto(
    tried: Sequence[Tried], front: Sequence[Tried], chosen: str | None, title: str, directory: Path
) -> list[str]:
    """Draw each that was timed; a ring is around those of the front, a star is the chosen one."""
    known = [t for t in tried if t.time and t.size_mib is not None]
    if not known:
        return []
    figure, (fidelity, size) = panels(2)
    figure.set_size_inches(11, 4.8)
    runtimes = list(dict.fromkeys(t.variant.runtime for t in known))
    on_front = {t.variant.label for t in front}
    for runtime, (colour, marker, _) in zip(runtimes, styles(), strict=False):
        for number, each in enumerate(t for t in known if t.variant.runtime == runtime):
            speed = 1 / (each.time or 1.0)
            shape = "*" if each.variant.label == chosen else marker
            ring = "black" if each.variant.label in on_front else colour
            points = [(size, each.size_mib)]
            if each.sqnr_db is not None:
                points.append((fidelity, min(EXACT_DB, each.sqnr_db)))
            for panel, y in points:
                panel.plot(
                    [speed], [y], shape, color=colour, markeredgecolor=ring,
                    markersize=15 if shape == "*" else 8, linestyle="",
                    label=runtime if number == 0 and panel is size else None,
                )  # fmt: skip
                panel.annotate(each.variant.label.removeprefix(f"{runtime} "), (speed, y),
                               xytext=(6, 3), textcoords="offset points",
                               fontsize="x-small")  # fmt: skip
    speeds = "times as fast as eager fp32" + (", by sample" if known[0].by_sample else "")
    fidelity.set(xlabel=speeds, ylabel="fidelity to fp32, dB", title=title)
    size.set(xlabel=speeds, ylabel="size of the files, MiB",
             title="star: chosen; black edge: Pareto front")  # fmt: skip
    size.set_ylim(bottom=0)
    size.legend(fontsize="small")
    return saved(figure, directory, "plots/recommend")
