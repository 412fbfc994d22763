"""The effect on one metric, and the verdict on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from typing import Literal

from scipy.special import stdtr, stdtrit

from modelbench.measurement.comparison.figures import Figure
from modelbench.measurement.comparison.meaning import SPEED, Better
from modelbench.measurement.timing.record import UNKNOWN_FREEDOM

Verdict = Literal[
    "FASTER", "SLOWER", "SAME", "AMBIGUOUS", "BETTER", "WORSE", "CHANGED"
]  # fmt: skip
SURE = 0.05
"""Chance of a verdict FASTER, SLOWER, BETTER or WORSE in a whole comparison of equals."""
SAME_WORK = 0.01
"""How far a rate may be from what the latency alone makes of it, in logarithms."""


@dataclass(frozen=True)
class Ratio:
    """Candidate over baseline, with what it is known by."""

    value: float
    reach: float
    """Of logarithms, 95%."""
    freedom: float
    rests_on: str
    in_control: bool = False
    """Whether it is the ratio of times in units of a control."""

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval."""
        return self.value * exp(-self.reach), self.value * exp(self.reach)

    @property
    def chance(self) -> float:
        """The probability of so great an effect, or a greater one, where there is none."""
        deviation = self.reach / float(stdtrit(self.freedom, 0.975))
        if not deviation:
            return float(self.value == 1)
        distance = abs(log(self.value)) / deviation
        return 2 * float(stdtr(self.freedom, -distance))


@dataclass(frozen=True)
class Effect:
    """One metric in both runs."""

    job: str
    """Which of several jobs; '' of the only one."""
    name: str
    unit: str
    baseline: float
    candidate: float
    better: Better
    known: str
    """`exact`, `sampled`, `once` or `follows`."""
    ratio: Ratio | None
    """None of what is exact, and of what has no interval."""
    verdict: Verdict
    why: str = ""
    """What a verdict rests on, or why there is none."""

    @property
    def times(self) -> float | None:
        """Candidate over baseline: None where that says nothing."""
        if self.ratio is not None:
            return self.ratio.value
        return self.candidate / self.baseline if self.baseline > 0 < self.candidate else None

    @property
    def good(self) -> bool | None:
        """Whether the change is for the better; None where there is none, or nobody can say."""
        return {"FASTER": True, "BETTER": True, "SLOWER": False, "WORSE": False}.get(self.verdict)

    @property
    def size(self) -> float:
        """How great the effect is, whichever way."""
        times = self.times
        if times is None or times <= 0:
            return float(self.baseline != self.candidate)
        return abs(log(times))


def compared(
    job: str, name: str, baseline: Figure, candidate: Figure, spread: Ratio | None = None
) -> Effect:
    """Return the effect on a metric, as yet without a verdict where it takes a test to find one.

    `spread`, where given, is what calibration found of this metric.
    """
    what = baseline.meaning
    effect = Effect(
        job, name, baseline.unit, baseline.value, candidate.value, what.better, what.known, None,
        "AMBIGUOUS",
    )  # fmt: skip
    if what.known == "exact":
        return _exact(effect, max(what.varies, 1e-9))
    if what.known == "once" and baseline.value == candidate.value:
        return replace(effect, verdict="SAME", why="the same in both")
    why = _untold(baseline, candidate)
    if what.known == "follows" or why:
        return replace(effect, why=why)
    ratio = spread or _ratio(baseline, candidate)
    if ratio is None:
        return replace(effect, why="one of the two has no interval: too few samples or processes")
    return replace(effect, ratio=ratio, why=ratio.rests_on)


def _untold(baseline: Figure, candidate: Figure) -> str:
    """Return why the two figures tell nothing of each other; '' where they do."""
    if not baseline.value > 0 < candidate.value:
        return "not positive"
    sides = (("baseline", baseline), ("candidate", candidate))
    busy = [side for side, figure in sides if figure.disturbed]
    if busy:
        return f"other processes were busy while the {' and the '.join(busy)} was timed"
    return ""


def same_run(job: str, name: str, figure: Figure) -> Effect:
    """Return the effect of a run on itself."""
    what, value = figure.meaning, figure.value
    return Effect(
        job, name, figure.unit, value, value, what.better, "exact", None, "SAME", "the same run"
    )


def _exact(effect: Effect, tolerance: float) -> Effect:
    least = tolerance * max(abs(effect.baseline), abs(effect.candidate))
    if abs(effect.candidate - effect.baseline) <= least:
        return replace(effect, verdict="SAME", why="the same in both")
    up = effect.candidate > effect.baseline
    return replace(effect, verdict=_word(effect, up=up), why="is the same in every run of the same")


def _word(effect: Effect, *, up: bool) -> Verdict:
    if effect.better == "neither":
        return "CHANGED"
    good = up == (effect.better == "higher")
    if effect.unit in SPEED:
        return "FASTER" if good else "SLOWER"
    return "BETTER" if good else "WORSE"


def _ratio(baseline: Figure, candidate: Figure) -> Ratio | None:
    """Return the ratio, in units of the control where it is known better so."""
    found = []
    if baseline.reach is not None and candidate.reach is not None:
        reach = sqrt(baseline.reach**2 + candidate.reach**2)
        rests_on = baseline.rests_on
        if candidate.rests_on != rests_on:
            rests_on = f"{rests_on} (baseline); {candidate.rests_on} (candidate)"
        found.append(Ratio(candidate.value / baseline.value, reach, UNKNOWN_FREEDOM, rests_on))
    one, two = baseline.control, candidate.control
    if one is not None and two is not None and one[0] == two[0]:
        reach = sqrt(one[2] ** 2 + two[2] ** 2)
        told = f"in units of the {one[0]} control, which both runs have timed beside"
        found.append(Ratio(two[1] / one[1], reach, UNKNOWN_FREEDOM, told, in_control=True))
    return min(found, key=lambda ratio: ratio.reach, default=None)


def judged(effects: Sequence[Effect], threshold: float) -> list[Effect]:
    """Return the effects with their verdicts, corrected for their number (Holm 1979).

    SAME is what lies within the threshold with its whole interval; a direction has what differs
    from 1 in a test that is wrong of any of them in 5 of 100 comparisons of equals.
    """
    tested = sorted(
        (effect for effect in effects if effect.ratio is not None),
        key=lambda effect: effect.ratio.chance if effect.ratio else 1.0,
    )
    found: dict[tuple[str, str], Effect] = {}
    differ = True
    for place, effect in enumerate(tested):
        assert effect.ratio is not None
        differ = differ and effect.ratio.chance <= SURE / (len(tested) - place)
        verdict: Verdict = "AMBIGUOUS"
        if _within(effect.ratio, threshold):
            verdict = "SAME"
        elif differ:
            verdict = _word(effect, up=effect.ratio.value > 1)
        found[effect.job, effect.name] = replace(effect, verdict=verdict)
    rest = [found.get((effect.job, effect.name), effect) for effect in effects]
    return [_following(effect, found) if effect.known == "follows" else effect for effect in rest]


def _within(ratio: Ratio, threshold: float) -> bool:
    low, high = ratio.interval
    return low >= 1 / (1 + threshold) and high <= 1 + threshold


def _following(effect: Effect, found: dict[tuple[str, str], Effect]) -> Effect:
    """Return the effect with the verdict on what it follows from: a median latency."""
    path, _, short = effect.name.rpartition("/")
    of = f"{path}/p50_ms"
    if short.partition("[")[0].endswith("_per_s"):  # a rate at a size, of the latency there
        kind = short.partition("_")[0]
        of = f"{path}/{kind}_p50_ms{short[short.find('[') :]}" if "[" in short else of
    leader = found.get((effect.job, of))
    if leader is None:
        return replace(effect, why="what it follows from is not in both")
    times = effect.times if short.partition("[")[0] == "items_per_s" or short == "mfu" else None
    if times and abs(log(times * leader.candidate / leader.baseline)) > SAME_WORK:
        return replace(
            effect,
            verdict="CHANGED",
            why=f"more differs than {of}: the work of a call, or the peak",
        )
    verdict = leader.verdict
    if effect.better == "neither" and verdict in {"FASTER", "SLOWER"}:
        verdict = "CHANGED"
    return replace(effect, verdict=verdict, why=f"follows from {of}")


def spread_over(baseline: Sequence[float], candidate: Sequence[float], told: str) -> Ratio | None:
    """Return the ratio with what runs of the baseline vary by; None of fewer than three."""
    count = len(baseline)
    if count < 3 or min(*baseline, *candidate) <= 0:
        return None
    logs = [log(value) for value in baseline]
    mean = sum(logs) / count
    deviation = sqrt(sum((each - mean) ** 2 for each in logs) / (count - 1))
    error = deviation * sqrt(1 / count + 1 / len(candidate))
    middle = sum(map(log, candidate)) / len(candidate) - mean
    return Ratio(exp(middle), float(stdtrit(count - 1, 0.975)) * error, count - 1, told)
