"""What each scheme costs and gains: size against fidelity, and size against speed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelbench.results.canvas import panels, saved, styles

BASE = "fp32"
AXES = {
    "sqnr_db": "SQNR, dB: higher is closer to fp32",
    "speedup": "speedup over fp32",
}


def draw_quantization(
    schemes: Mapping[str, Mapping[str, float]], title: str, directory: Path
) -> list[str]:
    """Draw schemes by their metrics' short names; `fp32` is what they are held against."""
    drawn = [name for name in AXES if any(name in found for found in schemes.values())]
    if not drawn:
        return []
    figure, row = panels(max(2, len(drawn)))
    largest = max(found["size_mib"] for found in schemes.values())
    for panel, name in zip(row, drawn, strict=False):
        for (scheme, found), (colour, marker, _) in zip(schemes.items(), styles(), strict=False):
            value = found.get(name, 1.0 if (scheme, name) == (BASE, "speedup") else None)
            if value is None:
                continue
            low, high = found.get(f"{name}_ci_low", value), found.get(f"{name}_ci_high", value)
            panel.errorbar(
                found["size_mib"], value, yerr=[[max(0, value - low)], [max(0, high - value)]],
                color=colour, marker=marker, markersize=10, markeredgecolor="black", capsize=4,
                linestyle="none", label=f"{scheme}: {found['size_mib']:,.4g} MiB",
            )  # fmt: skip
        panel.set(xlabel="size on disk, MiB", ylabel=AXES[name], xlim=(0, 1.1 * largest))
        shown = [found.get(f"{name}_ci_high", found.get(name, 1.0)) for found in schemes.values()]
        panel.set_ylim(0, 1.1 * max(1e-9, *shown))
    for panel in row[len(drawn) :]:
        panel.set_visible(False)
    handles, labels = max((p.get_legend_handles_labels() for p in row), key=lambda h: len(h[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    figure.suptitle(title)
    return saved(figure, directory, "plots/quantization")
