"""What the trials of an axis come to in the report."""

from __future__ import annotations

from collections.abc import Mapping

from modelbench.measurement.numerics.consistency import RANDOM, Difference
from modelbench.results import Report
from modelbench.stages.dynamic.growth import Power


def add_exponents(
    report: Report, axis: str, fits: Mapping[str, tuple[str, Power | None]]
) -> list[str]:
    """Add the exponents with their intervals; return the words for them."""
    grows = []
    for name, (words, fit) in fits.items():
        if fit is None:
            continue
        low, high = fit.interval
        report.metric(f"{axis}/{name}_exponent", fit.exponent, "exponent")
        report.metric(f"{axis}/{name}_exponent_ci_low", low, "exponent")
        report.metric(f"{axis}/{name}_exponent_ci_high", high, "exponent")
        grows.append(f"{words} {fit.exponent:.2f}")
    return grows


def compared(report: Report, name: str, found: Difference) -> list[str]:
    """Return whether a sample's output stays the same `alone` or `padded`; return notes."""
    if found.random:
        report.warnings.append(RANDOM.format(found.output))
        return []
    report.details[name] = found.share
    if not found.matters:
        how = {"alone": "alone and in a batch", "padded": "with and without trailing padding"}[name]
        return [f"a sample's output is the same {how}"]
    if name == "alone":
        report.fail(
            f"a sample's output {found.output} differs when it is run alone and in a batch (by "
            f"{found.share:.2g} of its RMS): look for statistics taken over the batch"
        )
    else:
        report.warnings.append(
            f"the output {found.output} changes with trailing padding that attention_mask masks "
            f"(by {found.share:.2g} of its RMS)"
        )
    return []
