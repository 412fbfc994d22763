"""What it means that a metric is larger, and how well one run knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

Better = Literal["lower", "higher", "neither"]
Known = Literal["exact", "sampled", "once", "follows", "part"]
"""`exact`: the same in each run of the same. `sampled`: with an interval of its own. `once`: one
figure, of which it is assumed how far runs differ. `follows`: from another metric. `part`: it says
how another was measured, and is not compared by itself."""


@dataclass(frozen=True)
class Meaning:
    """How a metric is compared."""

    better: Better
    known: Known
    varies: float = 0.0
    """Of `exact`: relative difference that is none. Of `once`: relative standard deviation between
    runs that is assumed."""


_PART = Meaning("neither", "part")
_ONCE_S, _ONCE_MS = 0.25, 0.1

# The first pattern that fits.
PATTERNS: dict[str, Meaning] = {
    "benchmark/control/*": _PART,
    "*ci95_*": _PART,
    "*_ci_low": _PART,
    "*_ci_high": _PART,
    "*/control_ratio": _PART,
    "*/samples": _PART,
    "*/processes": _PART,
    "*/outliers": _PART,
    "*/std_ms": _PART,
    "*/stream_*": _PART,
    "*_knee": _PART,
    "*_knee_p50_ms": _PART,
    "*_exponent": _PART,
    "algorithm/loss_first": _PART,
    "algorithm/accuracy_before": _PART,
    "profile/*/accounted": _PART,
    "profile/*/*overhead": _PART,
    "profile/*/between_layers": _PART,
    "profile/*_mib": Meaning("lower", "once", 0.03),
    "runtimes/*p50_ms": _PART,  # their ratio is `speedup`
    "runtimes/*/speedup": Meaning("higher", "sampled"),
    "runtimes/*/coverage": Meaning("higher", "exact"),
    "runtimes/*/sqnr_db": Meaning("higher", "exact", 0.05),
    "runtimes/*/max_abs_error": Meaning("lower", "exact", 0.5),
    "runtimes/*/size_mib": Meaning("lower", "exact", 1e-3),
    "runtimes/*/peak_mib": Meaning("lower", "once", 0.1),
    "recommend/*p50_ms": _PART,
    "recommend/search_s": _PART,
    "recommend/tried": _PART,
    "recommend/speedup": Meaning("higher", "sampled"),
    "recommend/size_mib": Meaning("lower", "exact", 1e-3),
    "recommend/sqnr_db": Meaning("higher", "exact", 0.05),
    "quantization/*/p50_ms": _PART,  # their ratio is `speedup`, of interleaved samples
    "benchmark/*/items_per_s": Meaning("higher", "follows"),
    "benchmark/*_per_s": Meaning("higher", "follows"),
    "benchmark/*/mfu": Meaning("higher", "follows"),
    "benchmark/*/bandwidth": Meaning("neither", "follows"),
    "benchmark/*/p50_ms": Meaning("lower", "sampled"),
    "benchmark/*/mean_ms": Meaning("lower", "sampled"),
    "benchmark/*/p9?_ms": Meaning("lower", "sampled"),
    "benchmark/*_p50_ms": Meaning("lower", "sampled"),
    "quantization/*/speedup": Meaning("higher", "sampled"),
    "quantization/*/coverage_*": Meaning("higher", "exact"),
    "quantization/*/sqnr_db*": Meaning("higher", "exact", 0.005),
    "quantization/*/cosine": Meaning("higher", "exact", 1e-5),
    "quantization/*/max_abs_error": Meaning("lower", "exact", 0.05),
    "quantization/*/top1_agreement": Meaning("higher", "exact"),
    "quantization/*accuracy": Meaning("higher", "exact"),
    "quantization/*/perplexity": Meaning("lower", "exact", 1e-3),
    "quantization/*/size_*": Meaning("lower", "exact", 1e-3),
    "dynamic/failed": Meaning("lower", "exact"),
    "dynamic/passed": Meaning("higher", "exact"),
    "dynamic/*/largest": Meaning("higher", "once", 0.1),  # of the memory that is free just then
    "dynamic/*/p50_ms": Meaning("lower", "once", 0.15),
    "algorithm/loss_last": Meaning("lower", "once", 0.05),
    "algorithm/loss_drop": Meaning("higher", "once", 0.05),
    "algorithm/accuracy_after": Meaning("higher", "once", 0.05),
    "algorithm/dead_params": Meaning("lower", "exact"),
    "algorithm/step_ms": Meaning("lower", "once", _ONCE_MS),
    "memory/predicted_*": Meaning("neither", "exact"),
    "memory/*_mib": Meaning("lower", "once", 0.03),
    "dynamic/*/peak_mib": Meaning("lower", "once", 0.1),
    "structure/uncounted_ops": Meaning("neither", "exact"),
}
# Of all others, by their unit.
UNITS: dict[str, Meaning] = {
    "ms": Meaning("lower", "once", _ONCE_S),
    "s": Meaning("lower", "once", _ONCE_S),
    "1/s": Meaning("higher", "once", _ONCE_S),
    "dB": Meaning("higher", "exact", 0.005),
}
_OTHER = Meaning("neither", "exact", 1e-9)
SPEED = {"ms", "s", "1/s", "times"}
"""Units whose metrics are faster or slower, and not better or worse."""


def meaning(name: str, unit: str) -> Meaning:
    """Return what a metric means, by its full name, else by its unit."""
    return next(
        (found for pattern, found in PATTERNS.items() if fnmatchcase(name, pattern)),
        UNITS.get(unit, _OTHER),
    )


def unit_of(name: str) -> str:
    """Return the unit that a metric's or curve's name ends on; '' of others."""
    ends = {"_per_s": "1/s", "_ms": "ms", "_mib": "MiB", "_mb": "MB", "_db": "dB", "_s": "s",
            "_g": "G"}  # fmt: skip
    return next((unit for end, unit in ends.items() if name.endswith(end)), "")


def interval_of(metric: str, values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the ends of a metric's 95% interval, where they are among the values by name."""
    stem = metric.removesuffix("p50_ms")
    for low, high in ((f"{stem}ci95_low_ms", f"{stem}ci95_high_ms"),
                      (f"{metric}_ci_low", f"{metric}_ci_high")):  # fmt: skip
        if stem != metric or not low.endswith("_ms"):
            ends = values.get(low), values.get(high)
            if ends[0] is not None and ends[1] is not None:
                return float(ends[0]), float(ends[1])
    return None
