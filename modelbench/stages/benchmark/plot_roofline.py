"""The roofline: what bounds each phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from modelbench.measurement.compute.roofline import Place
from modelbench.results.canvas import panels, plain_logs, saved, styles


def roofline(places: Mapping[str, Place], title: str, directory: Path) -> list[str]:
    """Draw each phase below the roof of the machine; return the files."""
    figure, (panel,) = panels()
    peaks = next(iter(places.values())).peaks
    found = [place.intensity for place in places.values()]
    low, high = min([*found, peaks.ridge]) / 8, max([*found, peaks.ridge]) * 8
    intensity = np.geomspace(low, high, 200)
    roof = np.minimum(peaks.macs_per_s, intensity * peaks.bytes_per_s)
    panel.loglog(intensity, roof / 1e9, color="black", linewidth=1.5)
    panel.text(
        high, peaks.macs_per_s / 1e9, f"compute peak: {peaks.macs_per_s / 1e9:,.0f} GMACs/s ",
        ha="right", va="bottom",
    )  # fmt: skip
    left = low * 1.5
    panel.text(
        left, left * peaks.bytes_per_s / 1e9, f"memory: {peaks.bytes_per_s / 1e9:,.0f} GB/s ",
        ha="left", va="top", rotation_mode="anchor",
    )  # fmt: skip
    for (name, place), (colour, marker, _) in zip(places.items(), styles(), strict=False):
        label = f"{name}: {place.mfu:.0%} of peak, {place.bound}-bound"
        rate = place.macs / place.seconds / 1e9
        panel.plot(place.intensity, rate, marker, color=colour, markersize=9, label=label,
                   markeredgecolor="black", linestyle="none")  # fmt: skip
    plain_logs(panel.xaxis, panel.yaxis)
    panel.set(xlabel="arithmetic intensity, MACs per byte moved", ylabel="GMACs/s", title=title)
    panel.legend(loc="lower right")
    return saved(figure, directory, "plots/roofline")
