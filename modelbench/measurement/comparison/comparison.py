"""Two sets of runs against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from modelbench.measurement.comparison.conditions import Differences, differences
from modelbench.measurement.comparison.effect import (
    Effect,
    Ratio,
    compared,
    judged,
    same_run,
    spread_over,
)
from modelbench.measurement.comparison.figures import Figure, figures
from modelbench.measurement.comparison.structural import Change, changes
from modelbench.results.commands import words_of

Document = Mapping[str, Any]
MISSING = "(baseline only)"
UNRESOLVED = "auto"
"""The device of a job that ended before it had one."""
THRESHOLD = 0.02
"""Relative difference that does not matter."""

REMEDY = (
    "python -m modelbench.gate runs both in one session, interleaved, which tells smaller "
    "differences; --calibrate 5 learns how far runs of the baseline differ now"
)


class NothingToCompareError(ValueError):
    """The two have no job, or no metric, in common."""


class NotComparableError(ValueError):
    """They were made on other machines or by other settings; one line for each difference."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        super().__init__("; ".join(lines))


@dataclass(frozen=True)
class Pair:
    """The same job of both sides."""

    job: str
    baseline: Document
    candidate: Document
    calibration: Sequence[Document] = ()
    """Further runs of the baseline, by which its spread is known."""
    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    """Of metrics that were timed interleaved."""

    @cached_property
    def differences(self) -> Differences:
        """What differs in the conditions."""
        return differences(self.baseline, self.candidate)

    def effects(self) -> Iterator[Effect]:
        """Yield the effect on each metric that both have, without verdicts."""
        one, two = figures(self.baseline), figures(self.candidate)
        if self.baseline == self.candidate:
            yield from (same_run(self.job, name, figure) for name, figure in one.items())
            return
        others = [figures(document) for document in self.calibration]
        for name in one.keys() & two.keys():
            spread = self.ratios.get(name) or _spread(name, one[name], two[name], others)
            yield compared(self.job, name, one[name], two[name], spread)


@dataclass(frozen=True)
class Comparison:
    """What a candidate does better or worse than a baseline."""

    pairs: Sequence[Pair]
    threshold: float
    effects: Sequence[Effect]
    """The worst first, then the greatest."""
    changes: Sequence[Change]
    unmatched: Sequence[str]
    """Jobs that only one of the two has."""
    remedy: str
    """What tells smaller differences."""

    @property
    def regressions(self) -> list[str]:
        """What got worse, a name each."""
        worse = [_called(e.job, e.name) for e in self.effects if e.good is False]
        return [*(_called(c.job, c.text) for c in self.changes if c.regression), *worse]

    @property
    def ambiguous(self) -> list[Effect]:
        """What was sampled, and cannot be told all the same."""
        return [e for e in self.effects if e.verdict == "AMBIGUOUS" and e.known == "sampled"]

    @property
    def status(self) -> int:
        """The exit status: 0 no regression, 1 a regression, 3 only ambiguous ones.

        Of a job that the candidate lacks, nothing can be told.
        """
        if self.regressions:
            return 1
        missing = any(each.endswith(MISSING) for each in self.unmatched)
        return 3 if self.ambiguous or missing else 0


def compare(
    baseline: Sequence[Document],
    candidate: Sequence[Document],
    *,
    threshold: float = THRESHOLD,
    across: bool = False,
    calibration: Mapping[str, Sequence[Document]] | None = None,
) -> Comparison:
    """Compare the jobs that both sides have.

    Raises NothingToCompareError, and NotComparableError unless `across` is set.
    """
    pairs, unmatched = paired(baseline, candidate, calibration or {})
    if not pairs:
        raise NothingToCompareError(
            f"no job in common: the baseline has {_listed(baseline)}, the candidate "
            f"{_listed(candidate)}"
        )
    if not across:
        refused = [_called(p.job, line) for p in pairs for line in p.differences.refused]
        if refused:
            raise NotComparableError(list(dict.fromkeys(refused)))
    return of_pairs(pairs, threshold, unmatched)


def of_pairs(
    pairs: Sequence[Pair],
    threshold: float,
    unmatched: Sequence[str] = (),
    remedy: str = REMEDY,
) -> Comparison:
    """Return the comparison; raises NothingToCompareError where no metric is in common."""
    effects = judged([effect for pair in pairs for effect in pair.effects()], threshold)
    changed = [c for p in pairs for c in changes(p.job, p.baseline, p.candidate)]
    if not effects and not changed:
        ended = ", ".join(
            f"{side} {document['status']} with {', '.join(document['stages']) or 'no stage'}"
            for pair in pairs[:1]
            for side, document in (("baseline", pair.baseline), ("candidate", pair.candidate))
        )
        raise NothingToCompareError(f"the two have no metric in common ({ended})")
    ranked = sorted(effects, key=_rank)
    return Comparison(pairs, threshold, ranked, changed, unmatched, remedy)


def paired(
    baseline: Sequence[Document],
    candidate: Sequence[Document],
    calibration: Mapping[str, Sequence[Document]],
) -> tuple[list[Pair], list[str]]:
    """Match the jobs of both sides; return the pairs, and what only one side has.

    Of one job each, the two belong together whatever they are.
    """
    if len(baseline) == len(candidate) == 1:
        return [Pair("", baseline[0], candidate[0], calibration.get("", ()))], []
    known = [d["device"] for d in (*baseline, *candidate) if d["device"] != UNRESOLVED]
    device = known[0] if known else UNRESOLVED
    apart = _varying(baseline, device)
    for key, words in _varying(candidate, device).items():  # a sweep may have been cut short
        apart.setdefault(key, set()).update(words)
    one, two = (_keyed(side, apart, device) for side in (baseline, candidate))
    pairs = [Pair(k, one[k], two[k], calibration.get(k, ())) for k in one if k in two]
    alone = [f"{key} {MISSING}" for key in one if key not in two]
    return pairs, [*alone, *(f"{key} (candidate only)" for key in two if key not in one)]


def _alike(documents: Sequence[Document], device: str) -> dict[str, list[Document]]:
    """Return jobs by model, precision, device and sizes; one that never began has no device."""
    found: dict[str, list[Document]] = {}
    for document in documents:
        sizes = " ".join(f"{axis}={size}" for axis, size in document["axes"].items())
        where = device if document["device"] == UNRESOLVED else document["device"]
        key = f"{document['model']} {document['precision']} {where} {sizes}"
        found.setdefault(key, []).append(document)
    return found


def _varying(documents: Sequence[Document], device: str = UNRESOLVED) -> dict[str, set[str]]:
    """Return the keys of the words by which jobs differ that are alike otherwise."""
    found = {}
    for key, several in _alike(documents, device).items():
        words = [words_of(document["command"]) for document in several]
        odd = {word for own in words for word in own if not all(word in each for each in words)}
        found[key] = {word.partition("=")[0] for word in odd}
    return found


def _keyed(
    documents: Sequence[Document], apart: Mapping[str, set[str]], device: str
) -> dict[str, Document]:
    """Return the documents by what tells the jobs of a sweep apart."""
    found: dict[str, Document] = {}
    for key, several in _alike(documents, device).items():
        keys = apart.get(key, set())
        for document in several:
            words = words_of(document["command"])
            told = sorted(word for word in words if word.partition("=")[0] in keys)
            name = " ".join([key, *told])
            number = 1 + sum(known.partition(" #")[0] == name for known in found)
            found[f"{name} #{number}" if number > 1 else name] = document
    return found


def _spread(
    name: str, one: Figure, two: Figure, others: Sequence[Mapping[str, Figure]]
) -> Ratio | None:
    values = [found[name].value for found in others if name in found]
    if not values or one.meaning.known not in {"sampled", "once"}:
        return None
    told = f"{len(values) + 1} runs of the baseline"
    return spread_over([one.value, *values], [two.value], told)


def _rank(effect: Effect) -> tuple[int, float, str]:
    order = {False: 0, True: 1, None: 3}[effect.good]
    if effect.verdict in {"CHANGED", "AMBIGUOUS"}:
        order = 2
    return order, -effect.size, effect.name


def _called(job: str, text: str) -> str:
    return f"{job}: {text}" if job else text


def _listed(documents: Sequence[Document]) -> str:
    names = list(_keyed(documents, _varying(documents), UNRESOLVED))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more or "none"
