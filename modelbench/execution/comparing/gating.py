"""A gate: both sides run once for what is exact, and interleaved for what is timed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from modelbench.execution.comparing.again import run_job
from modelbench.execution.comparing.interleaved import Command, Phase, Session, interleaved
from modelbench.execution.comparing.runs import UsageError
from modelbench.measurement.comparison.comparison import Comparison, Pair, of_pairs
from modelbench.results.commands import words_of

EXACT = "test=structure"
"""What both sides run once, unless the words say what."""


def side_of(text: str, words: Sequence[str]) -> Command:
    """Return a side: `words` in the checkout whose folder `text` is, or the command that it is.

    Raises UsageError.
    """
    if os.path.isdir(text):  # noqa: PTH112  (a command may be longer than a path can be)
        folder = Path(text)
        if not words:
            raise UsageError(
                f"{text}: a folder, but no command to run in it; add one, such as "
                "'-- model=unet image_size=64'"
            )
        return Command(words_of(" ".join(words)) if len(words) == 1 else list(words), folder)
    own = words_of(text)
    if not any("=" in word for word in own):
        raise UsageError(f"{text}: no folder, and no command such as 'model=unet image_size=64'")
    return Command([*own, *words])


def compared(
    baseline: Command,
    candidate: Command,
    session: Session,
    threshold: float,
    say: Callable[[str], None],
) -> Comparison:
    """Compare both sides; raises what either's configuration or process does."""
    documents = []
    for side, command in (("baseline", baseline), ("candidate", candidate)):
        say(f"running the {side} once")
        chosen = any(word.startswith("test=") for word in command.words)
        words = [*command.words, *([] if chosen else [EXACT])]
        documents.append(run_job(words, command.folder))
    phases = interleaved(baseline, candidate, session, say)
    one, two = (with_phases(d, phases, side) for d, side in zip(documents, (0, 1), strict=True))
    ratios = {f"benchmark/{name}/p50_ms": phase.ratio for name, phase in phases.items()}
    pair = Pair("", one, two, ratios=ratios)
    return of_pairs([pair], threshold, remedy="more pairs tell smaller differences (--pairs)")


def self_test(
    baseline: Command, session: Session, threshold: float, say: Callable[[str], None]
) -> tuple[bool, str]:
    """Slow the baseline down by the threshold; return whether that was caught, and a sentence."""
    say(f"self-test: the baseline against itself, slowed down by {threshold:.1%}")
    slower = replace(baseline, slower=threshold)
    phases = interleaved(baseline, slower, session, say)
    caught = all(phase.ratio.interval[0] > 1 for phase in phases.values())
    told = ", ".join(
        f"{name} {phase.ratio.value:.3f} ({phase.ratio.interval[0]:.3f} to "
        f"{phase.ratio.interval[1]:.3f})"
        for name, phase in phases.items()
    )
    if caught:
        return True, f"self-test: a slowdown of {threshold:.1%} is caught: {told}"
    return False, (
        f"self-test: a slowdown of {threshold:.1%} is not caught here: {told}; raise --pairs or "
        "--threshold"
    )


def with_phases(
    document: Mapping[str, Any], phases: Mapping[str, Phase], side: int
) -> dict[str, Any]:
    """Return a document whose benchmark is that of the interleaved samples."""
    stage: dict[str, Any] = {
        "status": "passed", "reason": None, "metrics": {}, "series": {}, "curves": {},
        "details": {}, "warnings": [],
    }  # fmt: skip
    for name, phase in phases.items():
        pairs = (phase.baseline_ms, phase.candidate_ms)[side]
        medians = [median(samples) for samples in pairs]
        stage["metrics"][f"benchmark/{name}/p50_ms"] = {"value": median(medians), "unit": "ms"}
        stage["series"][f"benchmark/{name}/samples_ms"] = [ms for each in pairs for ms in each]
        stage["details"][name] = {
            "processes": [
                {"p50_ms": middle, "samples": len(samples)}
                for middle, samples in zip(medians, pairs, strict=True)
            ]
        }
    return {**document, "stages": {**document["stages"], "benchmark": stage}}
