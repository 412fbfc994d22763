"""Runtimes of one model, held against eager PyTorch one after the other."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelbench.measurement.isolated import Ended
from modelbench.results import Report, Skip, Table
from modelbench.results.attempts import in_one_line
from modelbench.runtimes.alternating import Raced, race
from modelbench.runtimes.outputs import Arrays, held_against, integers
from modelbench.runtimes.peak import Peak
from modelbench.runtimes.program import ExportError
from modelbench.runtimes.remote import Remote
from modelbench.runtimes.side import Side
from modelbench.runtimes.variant import Ready, Variant
from modelbench.stages.runtimes.plot import draw_runtimes

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.stages.stage import Context

log = logging.getLogger(__name__)

SHARE = 0.9
"""Of the stage's time limit, after which nothing new is begun."""
LOW_DB = 20.0
"""The least fidelity that is asked for in less than single precision."""
APART_S = 20.0
"""Seconds of looking for the first layer that is wrong."""
TELLS = (ExportError, Ended, TimeoutError)
"""Errors whose message is the reason as a person reads it."""


@dataclass(frozen=True)
class Limits:
    """What the comparison may cost, and what it asks for."""

    budget_s: float
    samples: int
    min_sqnr_db: float
    timeout_s: float


class Session:
    """Eager PyTorch in one process, and a runtime at a time in another."""

    def __init__(
        self,
        workload: Workload,
        context: Context,
        limits: Limits,
        phases: Sequence[str],
        runtimes: Mapping[str, Any],
    ) -> None:
        """Start a process for each, which waits until it is asked."""
        self.report = Report()
        self._workload, self._context = workload, context
        self._limits, self._phases = limits, phases
        self._until = time.monotonic() + SHARE * limits.timeout_s
        # All before this process computes anything: its threads would survive no fork.
        self._eager = self._start(Variant(scheme=workload.scheme))
        self._remotes = {
            name: self._start(Variant(name, engine=engine, scheme=workload.scheme))
            for name, engine in runtimes.items()
        }
        variants = {"eager": Variant(scheme=workload.scheme)} | {
            name: Variant(name, engine=engine, scheme=workload.scheme)
            for name, engine in runtimes.items()
        }
        self._peaks = {
            name: Remote(partial(Peak, workload, variant), workload.device)
            for name, variant in variants.items()
        }
        self._wanted: dict[str, list[Arrays]] = {}
        self._rows: list[list[str | float | None]] = []
        self._skipped: dict[str, str] = {}
        low = workload.scheme is not None
        self._least_db = min(limits.min_sqnr_db, LOW_DB) if low else limits.min_sqnr_db

    def eager(self) -> None:
        """Run the model as it is; raises what it raises."""
        self._context.say("eager PyTorch: loading the model")
        ready = self._ask(self._eager, "prepare", self._phases[0])
        self.report.metric("eager/load_s", ready.load_s, "s")
        self.report.metric("eager/size_mib", ready.size_mib, "MiB")
        self._peak("eager", "of_model", self._phases[0])

    def add(self, name: str) -> None:
        """Hold one runtime against it; one that fails, or dies, costs itself alone."""
        self._context.keep(self.report, name, {})
        if time.monotonic() > self._until:
            self._skipped[name] = "not begun, for want of time (test.runtimes.timeout_s)"
            return
        remote = self._remotes[name]
        try:
            self._compare(name, remote)
        except Skip as skip:
            self._skipped[name] = str(skip).removeprefix("runtime: ")
        except TELLS as error:
            self.report.fail(f"{name}: {error}")
        except Exception as error:  # runtimes raise all kinds
            log.exception("runtime %s", name)
            self.report.fail(f"{name}: {in_one_line(error)}")
        finally:
            remote.close()

    def _compare(self, name: str, remote: Remote) -> None:
        for number, phase in enumerate(self._phases):
            prefix = name if number == 0 else f"{name}/{phase}"
            self._context.say(f"{name}: exporting {phase}")
            ready = self._ask(remote, "prepare", phase)
            self._ask(self._eager, "prepare", phase)
            self._add_ready(prefix, ready)
            self._fidelity(name, prefix, phase, remote)
            self._context.say(f"{name}: timing {phase}, interleaved with eager PyTorch")
            pair = (self._eager, remote)
            raced = race(pair, self._limits.budget_s, self._workload.seed, self._until)
            self._add_speed(prefix, raced)
            self._row(prefix, name, phase, ready, raced)
            if number == 0:
                self._dynamic(name, remote)
                self._memory(name, remote, ready)

    def _memory(self, name: str, remote: Remote, ready: Ready) -> None:
        """Measure what the exported program takes in a process that only loads and runs it."""
        file = str(self._context.scratch / f"{name}-inputs.pt")
        if len(ready.files) == 1 and self._ask(remote, "write_inputs", file):
            self._peak(name, "of_file", ready.files[0], file)

    def _peak(self, name: str, how: str, *args: Any) -> None:
        """Add a peak; what its process fails or dies of costs nothing else."""
        try:
            peak = self._ask(self._peaks[name], how, *args)
            self.report.metric(f"{name}/peak_mib", peak, "MiB")
        except Exception as error:
            log.info("the peak of %s", name, exc_info=True)
            self.report.notes.append(f"{name}: its peak memory is not known: {in_one_line(error)}")
        finally:
            self._peaks[name].close()

    def _add_ready(self, prefix: str, ready: Ready) -> None:
        report = self.report
        report.metric(f"{prefix}/export_s", ready.export_s, "s")
        report.metric(f"{prefix}/load_s", ready.load_s, "s")
        report.metric(f"{prefix}/first_call_ms", ready.first_call_ms, "ms")
        report.metric(f"{prefix}/size_mib", ready.size_mib, "MiB")
        if ready.coverage is not None:
            report.metric(f"{prefix}/coverage", ready.coverage, "share")
        if ready.falls_back:
            report.notes.append(f"{prefix}: falls back for {', '.join(ready.falls_back[:8])}")
        report.notes += [f"{prefix}: {note}" for note in ready.notes]

    def _fidelity(self, name: str, prefix: str, phase: str, remote: Remote) -> None:
        """Hold outputs on unseen samples against eager ones; a wrong one fails the runtime."""
        if phase not in self._wanted:
            self._wanted[phase] = self._ask(self._eager, "outputs", self._limits.samples)
            self._pictures("eager", self._eager)
        found = self._ask(remote, "outputs", self._limits.samples)
        self._pictures(name, remote)
        if integers(found):
            self._tokens(prefix, phase, found)
            return
        spread = held_against(self._wanted[phase], found)
        if math.isfinite(spread.sqnr_db):
            self.report.metric(f"{prefix}/sqnr_db", spread.sqnr_db, "dB")
        else:
            told = f"{prefix}: its outputs are those of eager PyTorch, bit by bit"
            self.report.notes.append(told)
        self.report.metric(f"{prefix}/max_abs_error", spread.max_abs_error, "output")
        least = self._least(phase)
        if spread.sqnr_db_min >= least:
            return
        where = None
        if name not in {"eager", "compile"}:
            self._context.say(f"{name}: looking for the first layer that is wrong")
            where = self._ask(remote, "first_apart", least, APART_S)
        at = f"; the first layer that is wrong by itself is {where}" if where else ""
        self.report.fail(
            f"{prefix}: its outputs are wrong: {spread.sqnr_db_min:.0f} dB from eager PyTorch's, "
            f"expected {least:g} or more{at}"
        )

    def _least(self, phase: str) -> float:
        """Return the fidelity asked for: less of many steps, which carry rounding errors on."""
        return min(self._least_db, LOW_DB) if phase == "generate" else self._least_db

    def _tokens(self, prefix: str, phase: str, found: list[Arrays]) -> None:
        """Tell how many tokens are the same: one that is not takes others with it."""
        pairs = [
            (one[key], other[key])
            for one, other in zip(self._wanted[phase], found, strict=True) for key in one
        ]  # fmt: skip
        if any(a.shape != b.shape for a, b in pairs):
            self.report.fail(f"{prefix}: what {phase} returns is shaped otherwise than in PyTorch")
        elif pairs:
            same = sum((a == b).sum() for a, b in pairs) / sum(a.size for a, _ in pairs)
            told = f"{prefix}: {same:.1%} of what {phase} returns is as in eager PyTorch"
            self.report.notes.append(told)

    def _pictures(self, name: str, remote: Remote) -> None:
        """Keep the pictures that a phase makes, to be looked at side by side."""
        names = self._ask(remote, "draw", str(self._context.directory / name))
        self.report.artifacts += [f"{name}/{each}" for each in names]

    def _add_speed(self, prefix: str, raced: Raced) -> None:
        report, ratio = self.report, raced.ratio
        report.metric(f"{prefix}/p50_ms", raced.second, "ms")
        report.metric(f"{prefix}/eager_p50_ms", raced.first, "ms")
        report.metric(f"{prefix}/speedup", ratio.median, "times")
        if ratio.interval is not None:
            report.metric(f"{prefix}/speedup_ci_low", ratio.interval[0], "times")
            report.metric(f"{prefix}/speedup_ci_high", ratio.interval[1], "times")

    def _row(self, prefix: str, name: str, phase: str, ready: Ready, raced: Raced) -> None:
        low, high = raced.ratio.interval or (None, None)
        found = self.report.metrics.get(f"{prefix}/sqnr_db")
        sqnr = None if found is None else found.value
        self._rows.append([
            name, phase, raced.second, raced.ratio.median, low, high, sqnr,
            ready.size_mib, ready.export_s, ready.load_s,
        ])  # fmt: skip

    def _dynamic(self, name: str, remote: Remote) -> None:
        """Run at a second size of each axis, against eager PyTorch."""
        open_axes: dict[str, str] = {}
        for axis, size in self._workload.axes.items():
            other = next(
                (s for s in (2 * size, size // 2, size + 32, size - 32)
                 if s > 0 and self._workload.takes(axis, s)), None,
            )  # fmt: skip
            if other is None:
                continue
            try:
                wanted, _ = self._ask(self._eager, "outputs_at", {axis: other})
            except TimeoutError:
                raise
            except Exception as error:  # PyTorch's own export of this precision may have fixed it
                open_axes[axis] = f"not compared, PyTorch fails at {other}: {in_one_line(error)}"
                continue
            try:
                found, exported = self._ask(remote, "outputs_at", {axis: other})
                if integers([wanted]):
                    open_axes[axis] = f"frozen at {size}" if exported else "dynamic"
                    continue
                spread = held_against([wanted], [found])
                right = spread.sqnr_db_min >= self._least(self._phases[0])
                open_axes[axis] = (
                    f"wrong at {other}: {spread.sqnr_db_min:.0f} dB" if not right
                    else f"frozen at {size}" if exported else "dynamic"
                )  # fmt: skip
                if not right:
                    self.report.fail(f"{name}: {axis} is {open_axes[axis]}")
            except Exception as error:  # as above
                if isinstance(error, Ended | TimeoutError):
                    raise
                log.info("%s at %s=%s", name, axis, other, exc_info=True)
                open_axes[axis] = f"fails at {other}: {in_one_line(error)}"
        self.report.details[name] = {"axes": open_axes}
        told = ", ".join(f"{axis} {state}" for axis, state in open_axes.items())
        if told and name != "compile":
            self.report.notes.append(f"{name}: {told}")

    def finish(self) -> Report:
        """Return the report; raises Skip where no runtime could be used."""
        report = self.report
        if not self._rows and not report.failure:
            raise Skip("; ".join(f"{name}: {why}" for name, why in self._skipped.items()))
        report.notes += [f"{name} skipped: {why}" for name, why in self._skipped.items()]
        report.details["skipped"] = dict(self._skipped)
        columns = [
            ("runtime", "text"), ("phase", "text"), ("median", "ms"), ("speedup", "times"),
            ("from", "times"), ("to", "times"), ("fidelity", "dB"), ("size", "MiB"),
            ("export", "s"), ("load", "s"),
        ]  # fmt: skip
        rows = sorted(self._rows, key=lambda row: float(row[2] or 0.0))
        if rows:
            title = "runtimes against eager PyTorch, fastest first"
            report.tables.append(Table(title, columns, rows))
            title = f"{self._workload.name}: runtimes against eager PyTorch"
            report.artifacts += draw_runtimes(rows, title, self._context.directory)
        return report

    def close(self) -> None:
        """End all processes."""
        for remote in (self._eager, *self._remotes.values(), *self._peaks.values()):
            remote.close()

    def _start(self, variant: Variant) -> Remote:
        folder = self._context.scratch / variant.runtime
        return Remote(partial(Side, self._workload, variant, folder), self._workload.device)

    def _ask(self, remote: Remote, name: str, *args: Any) -> Any:
        return remote.ask(name, *args, until=self._until)
