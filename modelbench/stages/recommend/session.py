"""The search, its proof, and its artifact."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from modelbench.measurement.isolated import Ended
from modelbench.results import Report, Skip
from modelbench.results.attempts import in_one_line
from modelbench.runtimes.alternating import Raced, race
from modelbench.runtimes.program import ExportError
from modelbench.runtimes.remote import Remote
from modelbench.runtimes.side import Side
from modelbench.runtimes.variant import Ready, Variant
from modelbench.stages.part import part
from modelbench.stages.recommend.artifact import write_artifact
from modelbench.stages.recommend.bounds import Bounds, Tried, pareto, score
from modelbench.stages.recommend.command import command_of
from modelbench.stages.recommend.plot import draw_pareto
from modelbench.stages.recommend.space import all_variants, first_variants
from modelbench.stages.recommend.study import Study
from modelbench.stages.recommend.tables import tried_table

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.stages.stage import Context

log = logging.getLogger(__name__)

SHARE = 0.9
"""Of the stage's time limit, after which nothing new is begun."""
RUNGS = ((0.5, 2), (1.0, 4), (2.0, 8))
"""Seconds of samples of a candidate, beside the default, and the least blocks of them: each rung
for those that are left."""
OVER = 2.0
"""What the search may take at most, in times of its budget, where one candidate takes long."""
KEPT = 0.2
"""Of the stage's time limit, for the proof."""
SAMPLES, PROOF_SAMPLES = 3, 8
"""Inputs whose outputs are compared in the search, and in the proof; others."""
PROOF_SEED = 77_000
FINALISTS = 3
"""Candidates that are held against the default once more before the best is proved."""
SURE = 1.0
"""The speedup that the whole interval of the proof has to be over."""


@dataclass(frozen=True)
class Plan:
    """What is searched for, and what that may cost."""

    phase: str
    objective: str
    budget_s: float
    prove_s: float
    timeout_s: float
    exhaustive: bool
    export: Path | None


class Session:
    """The default in one process, and a candidate at a time in another.

    This process computes nothing itself, so that it can be forked whenever one is wanted.
    """

    def __init__(self, workload: Workload, context: Context, bounds: Bounds, plan: Plan) -> None:
        self.report = Report()
        self._workload, self._context = workload, context
        self._bounds, self._plan = bounds, plan
        self._until = self._end = time.monotonic() + SHARE * plan.timeout_s
        self._items = workload.axes.get("batch_size", 1)
        self._usual = self._tried_of(Variant())
        self._usual.relative, self._usual.sqnr_db, self._usual.drop = 1.0, math.inf, 0.0
        self._default = self._start(self._usual.variant)
        self._open: list[Remote] = [self._default]
        self._tried: list[Tried] = [self._usual]
        self._judged = bounds.max_drop is not None

    def search(
        self, runtimes: Sequence[str], precisions: Sequence[str], sizes: Sequence[int]
    ) -> None:
        """Try combinations until the budget is spent; raises what the default raises."""
        plan, began = self._plan, time.monotonic()
        if self._judged and not self._workload.own_data:
            raise ValueError("test.recommend.max_drop: needs labelled data; add data=... as well")
        if sizes and "batch_size" not in self._workload.axes:
            raise ValueError(
                f"test.recommend.batch_sizes: {self._workload.name} has no axis batch_size"
            )
        if refused := [s for s in sizes if not self._workload.takes("batch_size", s)]:
            raise ValueError(
                f"test.recommend.batch_sizes={refused}: {self._workload.name} does not take them"
            )
        self._context.say("the default: eager fp32")
        self._usual.size_mib = self._prepare_default().size_mib
        self._usual.p50_ms = median(self._ask(self._default, "sample", RUNGS[0][0]))
        self._until = self._end - KEPT * plan.timeout_s
        if not plan.exhaustive:
            self._until = min(self._until, began + OVER * plan.budget_s)
        engines = {name: self._context.runtimes[name] for name in runtimes}
        schemes = {name: self._context.schemes[name] for name in precisions}
        images = "image_size" in self._workload.axes
        every = all_variants(engines, schemes, sizes, images=images)
        first = list(first_variants(engines, schemes, sizes))
        study = Study(every, first, self._workload.seed, exhaustive=plan.exhaustive)
        for variant in study.candidates():
            spent = time.monotonic() - began
            most, what = plan.budget_s, "budget_s"
            if plan.exhaustive:
                most, what = self._until - began, "timeout_s"
            if spent > most:
                self.report.notes.append(
                    f"the search ended at {spent:.0f} s (test.recommend.{what}), with "
                    f"{len(every) - len(self._tried)} combinations not tried"
                )
                break
            if variant.label == self._usual.variant.label:
                study.tell(variant, self._score(self._usual))
                continue
            self._context.say(f"{len(self._tried)}: {variant.label}")
            tried = self._tried_of(variant)
            self._tried.append(tried)
            self._try(tried, study)
            self._context.keep(self.report, f"after {variant.label}", {})
            study.tell(variant, self._score(tried))
        self._until = self._end
        self.report.metric("search_s", time.monotonic() - began, "s")

    def _prepare_default(self) -> Ready:
        """Load the default, and let it judge."""
        ready: Ready = self._ask(self._default, "prepare", self._plan.phase)
        if self._judged:
            self._ask(self._default, "judge")
        return ready

    def _restart_default(self) -> None:
        """Start it anew where it was ended, since a limit was reached while it was asked."""
        if not self._default.closed:
            return
        limit, self._until = self._until, self._end
        self._default = self._start(self._usual.variant)
        self._open.append(self._default)
        self._prepare_default()
        self._until = limit

    def _tried_of(self, variant: Variant) -> Tried:
        by_sample = self._plan.objective == "throughput"
        return Tried(variant, usual_items=self._items, by_sample=by_sample)

    def _try(self, tried: Tried, study: Study) -> None:
        """Try one; what it raises, or dies of, is why it lost."""
        remote = self._start(tried.variant)
        self._open.append(remote)
        try:
            self._measure(tried, remote, study)
        except Skip as skip:
            tried.lost = str(skip).removeprefix("runtime: ")
        except (ExportError, Ended, TimeoutError) as error:
            tried.lost = str(error)
        except Exception as error:  # runtimes raise all kinds
            log.info("%s", tried.variant.label, exc_info=True)
            tried.lost = in_one_line(error)
        finally:
            remote.close()
            self._restart_default()

    def _measure(self, tried: Tried, remote: Remote, study: Study) -> None:
        ready: Ready = self._ask(remote, "prepare", self._plan.phase)
        tried.size_mib, tried.export_s = ready.size_mib, ready.export_s
        self._fidelity(tried, remote, SAMPLES, 0)
        if self._judged:
            tried.drop = self._ask(self._default, "drop_of", self._ask(remote, "judged"))
        for rung, (seconds, least) in enumerate(RUNGS):
            seed = self._workload.seed + rung
            raced = race((self._default, remote), seconds, seed, self._until, least)
            tried.p50_ms, tried.relative = raced.second, 1 / raced.ratio.median
            tried.samples += len(raced.second_ms)
            self._usual.p50_ms = raced.first
            if broken := self._bounds.broken(tried):
                tried.lost = "; ".join(broken)
                return  # its place is known; more samples change nothing
            if study.hopeless(tried.variant, rung, self._score(tried)):
                tried.lost = f"stopped early at {raced.ratio.median:.3g} times"
                return

    def _fidelity(self, tried: Tried, remote: Remote, count: int, seed: int) -> None:
        size = tried.variant.batch_size
        self._ask(self._default, "remember", count, seed, size)
        found = self._ask(remote, "outputs", count, seed, size)
        tried.sqnr_db = self._ask(self._default, "against", found, seed, size).sqnr_db_min

    def _score(self, tried: Tried) -> float:
        return score(tried, self._plan.objective)

    def finish(self) -> Report:
        """Prove the best one, and report; what meets no bounds is said with the nearest."""
        report = self.report
        within = [t for t in self._tried if t.lost is None and not self._bounds.broken(t)]
        report.metric("tried", len(self._tried), "count")
        front = pareto(self._tried)
        report.details["pareto"] = [t.variant.label for t in front]
        if not within:
            ran = [t for t in self._tried if t.p50_ms is not None] or [self._usual]
            near = min(ran, key=self._bounds.distance)
            why = "; ".join(self._bounds.broken(near)) or near.lost or ""
            report.fail(
                f"nothing meets the bounds; the nearest is {near.variant.label}, which misses "
                f"{why}; relax test.recommend's bounds, or name further runtimes and precisions"
            )
        else:
            best = self._final(sorted(within, key=self._score)[:FINALISTS])
            with part(report, f"{best.variant.label}: its proof", self._workload):
                self._prove(best)
        for tried in self._tried:
            if (
                tried.lost is None
                and tried is not self._usual
                and (
                    "chosen" in report.details
                    and report.details["chosen"]["label"] != tried.variant.label
                )
            ):
                what = "larger" if self._plan.objective == "memory" else "slower"
                tried.lost = f"{what} than the chosen one"
        report.details["tried"] = [_told(t) for t in self._tried]
        report.tables.append(tried_table(self._tried, report.details.get("chosen", {})))
        title = f"{self._workload.name}, {self._plan.phase}: what was tried"
        report.artifacts += draw_pareto(
            self._tried, front, report.details.get("chosen", {}).get("label"), title,
            self._context.directory,
        )  # fmt: skip
        return report

    def _final(self, best: Sequence[Tried]) -> Tried:
        """Hold the best few against the default once more, in fresh processes; return the best.

        Of many that were tried, the first is also the luckiest: a neighbour on the machine slows
        some down, or the default beside one.
        """
        if len(best) == 1 or self._plan.objective == "memory":
            return best[0]
        half = time.monotonic() + (self._end - time.monotonic()) / 2  # the rest is for the proof
        for tried in best:
            if tried is self._usual or time.monotonic() > half:
                continue
            self._context.say(f"once more: {tried.variant.label}")
            remote = self._start(tried.variant)
            self._open.append(remote)
            try:
                self._ask(remote, "prepare", self._plan.phase)
                seconds, least = RUNGS[-1]
                seed = self._workload.seed + len(RUNGS)
                raced = race((self._default, remote), seconds, seed, half, least)
                tried.p50_ms, tried.relative = raced.second, 1 / raced.ratio.median
                tried.lost = "; ".join(self._bounds.broken(tried)) or None
            except TimeoutError:  # what the search has found of it stands
                log.info("%s: not held against the default again", tried.variant.label)
                break
            except Exception as error:  # what runtimes raise, also those that ran before
                log.info("%s", tried.variant.label, exc_info=True)
                tried.lost = in_one_line(error)
            finally:
                remote.close()
        self._restart_default()
        kept = [t for t in best if t.lost is None]
        return min(kept, key=self._score) if kept else best[0]  # whose proof says why

    def _prove(self, best: Tried) -> None:
        """Hold the best against the default in fresh processes, on samples not seen before."""
        report, plan = self.report, self._plan
        beaten = best is not self._usual
        raced: Raced | None = None
        if beaten:
            self._context.say(f"proving {best.variant.label} against the default")
            usual, chosen = self._start(self._usual.variant), self._start(best.variant)
            self._open += [usual, chosen]
            self._ask(usual, "prepare", plan.phase)
            ready: Ready = self._ask(chosen, "prepare", plan.phase)
            seed = self._workload.seed + 99
            raced = race((usual, chosen), plan.prove_s, seed, self._until)
            self._fidelity(best, chosen, PROOF_SAMPLES, PROOF_SEED)
            ratio, items = raced.ratio, best.share
            report.metric("speedup", items * ratio.median, "times")
            if ratio.interval is not None:
                report.metric("speedup_ci_low", items * ratio.interval[0], "times")
                report.metric("speedup_ci_high", items * ratio.interval[1], "times")
            report.metric("p50_ms", raced.second, "ms")
            report.metric("default_p50_ms", raced.first, "ms")
            if best.sqnr_db is not None and math.isfinite(best.sqnr_db):
                report.metric("sqnr_db", best.sqnr_db, "dB")
            report.metric("size_mib", ready.size_mib, "MiB")
            if broken := self._bounds.broken(replace(best, p50_ms=raced.second)):
                report.fail(
                    f"{best.variant.label} was chosen, and misses the bounds on samples that the "
                    f"search had not seen: {'; '.join(broken)}"
                )
        low = report.metrics.get("speedup_ci_low")
        sure = low is not None and low.value > SURE
        if plan.objective != "memory" and not sure and not self._bounds.broken(self._usual):
            report.details["not_proved"] = best.variant.label if beaten else None
            best = self._usual
            for name in ("p50_ms", "sqnr_db", "size_mib"):  # of what was not faster for sure
                report.metrics.pop(name, None)
            report.notes.append("nothing beats the default within these bounds: eager fp32")
        command = command_of(best.variant, self._context.command)
        report.details["chosen"] = {"label": best.variant.label, **_told(best)}
        report.details["command"] = command
        report.notes.append(f"recommended: {best.variant.label}; run it: {command}")
        if plan.export is not None:
            with part(report, "export", self._workload):
                self._write(best, plan.export)

    def _write(self, best: Tried, folder: Path) -> None:
        """Write the artifact with its script and figures."""
        self._context.say("writing the artifact")
        remote = self._start(best.variant)
        self._open.append(remote)
        self._ask(remote, "prepare", self._plan.phase)
        figures = {name: metric.value for name, metric in self.report.metrics.items()}
        write_artifact(remote, folder, best.variant, figures, self._until)
        self.report.notes.append(f"{folder} has the artifact, and run.py, which runs it")

    def close(self) -> None:
        """End all processes."""
        for remote in self._open:
            remote.close()

    def _start(self, variant: Variant) -> Remote:
        # What is proved is what was searched; compiled code knows its number of threads.
        threads = variant.threads or "all"
        folder = self._context.scratch / f"{variant.runtime}-{variant.precision}-{threads}"
        return Remote(partial(Side, self._workload, variant, folder), self._workload.device)

    def _ask(self, remote: Remote, name: str, *args: Any) -> Any:
        return remote.ask(name, *args, until=self._until)


def _told(tried: Tried) -> dict[str, Any]:
    """Return it as plain data."""
    variant = tried.variant
    return {
        "label": variant.label, "runtime": variant.runtime, "precision": variant.precision,
        "threads": variant.threads, "channels_last": variant.channels_last,
        "batch_size": variant.batch_size, "p50_ms": tried.p50_ms,
        "speedup": tried.time and 1 / tried.time, "sqnr_db": tried.sqnr_db,
        "size_mib": tried.size_mib, "drop": tried.drop, "lost": tried.lost,
        "samples": tried.samples,
    }  # fmt: skip
