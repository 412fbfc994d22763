"""What changed between two runs that is no matter of measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMED = {
    "output_shapes": "output shapes",
    "output_dtypes": "output dtypes",
    "input_shapes": "input shapes",
    "class": "class",
}


@dataclass(frozen=True)
class Change:
    """One change, in a line."""

    job: str
    text: str
    regression: bool
    """Whether something used to work and does so no more."""


def changes(
    job: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any]
) -> Iterator[Change]:
    """Yield what differs in structure, and stages that end in another way."""
    one, two = baseline["stages"], candidate["stages"]
    killed = "its process was killed" if candidate["status"] == "running" else None
    reason = candidate.get("reason") or killed
    for name in dict.fromkeys([*one, *two]):
        yield from _stage(job, name, one.get(name), two.get(name), reason)
    details = [stages.get("structure", {}).get("details", {}) for stages in (one, two)]
    if all(details):
        for key, told in NAMED.items():
            before, after = (found.get(key) for found in details)
            if before != after:
                yield Change(job, f"{told}: {before} became {after}", regression=False)
    yield from _counts(job, one, two)


def _counts(job: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[Change]:
    metrics = [stages.get("structure", {}).get("metrics", {}) for stages in (one, two)]
    for name in metrics[0].keys() & metrics[1].keys():
        short = name.rpartition("/")[2]
        before, after = (found[name]["value"] for found in metrics)
        if short in {"params", "macs_g"} and before != after:
            share = f" ({after / before - 1:+.1%})" if before else ""
            text = f"{name.removeprefix('structure/')}: {before:,.10g} became {after:,.10g}{share}"
            yield Change(job, text, regression=False)


def _stage(job: str, name: str, one: Any, two: Any, reason: str | None) -> Iterator[Change]:
    if one is None or two is None:
        if one is not None and one["status"] == "passed" and reason:  # it never came to it
            yield Change(job, f"{name}: passed, and was not reached: {reason}", regression=True)
        return
    before, after = one["status"], two["status"]
    if before != after:
        why = two["reason"] or one["reason"]
        text = f"{name}: {before} became {after}" + (f": {why}" if why else "")
        yield Change(job, text, regression=before == "passed")
