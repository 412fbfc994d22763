"""The borders of an axis: found on shapes alone, run, and told as the runs have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from modelbench.measurement.memory.tolerance import missed, missed_by
from modelbench.stages.dynamic.constraints import SizeConstraints
from modelbench.stages.dynamic.estimate import Axis
from modelbench.stages.dynamic.trials import (
    Outcome,
    Task,
    at_size,
    constraints_by_running,
    out_of_memory,
    tried_between,
)

if TYPE_CHECKING:
    from modelbench.stages.dynamic.session import Session

MIB = 2**20
PROCESSES = 12
"""In which one border is looked for, where sizes end them."""


class Borders:
    """The size constraints of an axis, as far as they are known."""

    def __init__(
        self,
        name: str,
        estimated: Axis | None,
        ran: dict[int, Outcome],
        seconds: Callable[[int], float],
        session: Session,
    ) -> None:
        """Take the runs so far; `seconds` estimates a call at a size."""
        self.constraints: SizeConstraints | None = estimated.constraints if estimated else None
        self.notes: list[str] = []
        self._name, self._estimated, self._ran, self._seconds = name, estimated, ran, seconds
        self._all, self._report = session, session.report
        self._searched: dict[int, bool] = {}
        """Sizes that were run in a search: whether they work."""
        self._too_long: dict[int, str] = {}
        """Sizes that were not run for their time, and what is estimated of them."""
        self._limit: Mapping[str, int] = session.workload.limits.get(name, {})

    def find(self) -> None:
        """Run what borders on what does not work; at least one size has been run."""
        if self._estimated is None:
            self._by_running()
        self._run_borders()
        if self.constraints is None:
            return
        self.constraints = self.constraints.revised(self._worked)
        if self.constraints.step is not None:
            self._close(up=False)
            self._close(up=True)
        # Of what the runs of others have ruled out since, nothing is estimated any more.
        self.notes += [
            told for size, told in self._too_long.items() if self.constraints.claims(size)
        ]
        self._tell_largest()
        self._hold_to_limits(self.constraints)

    def told(self) -> str | None:
        """Sum it up in words."""
        if self.constraints is None or (self._ran and not self._good):
            return None
        return self.constraints.told(max(self._good, default=0))

    @property
    def _worked(self) -> dict[int, bool]:
        """Return of each size that was run whether the model takes it."""
        return self._searched | {
            size: outcome.error is None and outcome.finite
            for size, outcome in self._ran.items()
            if outcome.error is None or not out_of_memory(outcome.error)
        }

    @property
    def _good(self) -> list[int]:
        return [size for size, good in self._worked.items() if good]

    def _by_running(self) -> None:
        """Find it without shapes alone, up to what was run anyway."""
        usual = self._all.workload.axes[self._name]
        if usual not in self._good:
            return
        end_s = self._all.search_s
        self._all.context.say(f"searching for valid sizes of {self._name}, by running the model")
        task = partial(constraints_by_running, axis=self._name, far=max(self._good), end_s=end_s)
        (found,) = self._all.do([task])
        if isinstance(found, SizeConstraints):
            self.constraints, self._searched = found, dict(found.known)

    def _run_borders(self) -> None:
        """Run the sizes on either side of each border, where there is room and time for them."""
        constraints = self.constraints
        if constraints is None or constraints.step is None or self._estimated is None:
            return
        # The greatest, and beyond, takes what it takes on shapes alone; a failing one the same.
        stands = {size: size for size in (constraints.least, constraints.usual + constraints.step)}
        if constraints.below is not None:
            stands[constraints.below] = constraints.least
        if constraints.above is not None:
            stands |= {constraints.most: constraints.most, constraints.above: constraints.most}
        if most := self._limit.get("max"):
            stands |= {most: most, most + constraints.step: most}
        if not self._estimated.largest.error:
            stands[self._estimated.largest.size] = self._estimated.largest.size
        sizes = sorted(n for n, alike in stands.items() if n not in self._ran and self._room(alike))
        if not sizes:
            return
        self._all.context.say(f"confirming {self._name} {', '.join(map(str, sizes))}")
        tasks: list[Task] = [
            partial(at_size, sizes={self._name: size}, timed=False) for size in sizes
        ]
        for size, outcome in zip(sizes, self._all.do(tasks), strict=True):
            self._ran[size] = outcome
            if outcome.error is not None and out_of_memory(outcome.error):
                self._report.warnings.append(
                    f"{self._name}={size}, estimated to fit: {outcome.error}"
                )

    def _room(self, size: int) -> bool:
        """Return whether a size may be run; note where only its time forbids it."""
        assert self._estimated is not None
        known = {**self._estimated.further, self._estimated.largest.size: self._estimated.largest}
        if size not in known or known[size].peak > self._all.most:
            return False
        expected = self._seconds(size)
        if expected <= self._all.call_s:
            return True
        self._too_long[size] = (
            f"{size:,} takes {known[size].peak / MIB:,.0f} MiB (estimated; not run, since it would "
            f"take about {expected:.0f} s)"
        )
        return False

    def _close(self, *, up: bool) -> None:
        """Look by runs for a border that the runs have left wide, or have moved."""
        for _ in range(PROCESSES):
            constraints = self.constraints
            assert constraints is not None
            step = constraints.step or 1
            good, bad = (
                (constraints.most, constraints.above)
                if up
                else (constraints.least, constraints.below)
            )
            bad = constraints.floor - step if bad is None and not up else bad
            # Nothing larger is run than what has been run already.
            if bad is None or abs(good - bad) <= step or (up and bad not in self._worked):
                return
            task = partial(
                tried_between, axis=self._name, between=(good, bad), step=step,
                end_s=self._all.search_s,
            )  # fmt: skip
            (found,) = self._all.do([task])
            if not isinstance(found, dict) or not found:
                return
            self._searched |= found
            self.constraints = constraints.revised(self._worked)
            if all(found.values()) or len(found) > 1:
                return  # its time is up, or it is found

    def _tell_largest(self) -> None:
        """Report what the largest takes, beside what was estimated."""
        constraints, estimated = self.constraints, self._estimated
        if constraints is None or not self._good:
            return
        found = None
        if estimated is not None and estimated.largest.error is not None:
            self.notes.append(f"its memory could not be estimated: {estimated.largest.error}")
        elif estimated is not None and constraints.claims(estimated.largest.size):
            found = estimated.largest.size
        if found is not None and found < max(self._good):  # no time was left to look further
            found = None
        largest = found or constraints.greatest
        if largest is None or largest not in self._good:
            return
        self._report.metric(f"{self._name}/largest", largest, "count")
        if largest == found and estimated is not None and largest in self._ran:
            told, run = estimated.largest.peak, self._ran[largest].peak
            self.notes.append(
                f"{largest:,} takes {told / MIB:,.0f} MiB (estimated; {run / MIB:,.0f} measured)"
            )

    def hold_to_estimates(self, estimates: Mapping[int, int]) -> None:
        """Warn of the run whose memory misses its estimate, in bytes, by most."""
        known = dict(estimates)
        if self._estimated is not None:
            further = [*self._estimated.further.values(), self._estimated.largest]
            known |= {f.size: f.peak for f in further if f.error is None}
        peaks = {n: outcome.peak for n, outcome in self._ran.items() if outcome.error is None}
        both = {n: (known[n], peak) for n, peak in peaks.items() if known.get(n)}
        wrong = {n: (told, found) for n, (told, found) in both.items() if missed(told, found)}
        if not wrong:
            return
        size = max(wrong, key=lambda n: abs(wrong[n][1] / wrong[n][0] - 1))
        told, found = wrong[size]
        self._report.warnings.append(
            f"{self._name}={size}: {found / MIB:,.0f} MiB measured, "
            f"{missed_by(told, found)} than the {told / MIB:,.0f} estimated: kernel workspaces"
        )

    def _hold_to_limits(self, constraints: SizeConstraints) -> None:
        """Report where `model.limits` and what was found are not the same."""
        limit, name = self._limit, self._name
        if not limit:
            return
        wrong = [
            n for n in sorted(constraints.known) if self._allowed(n) and not constraints.known[n]
        ]
        wrong = [n for n in wrong if n in self._ran]
        if wrong:
            self._report.warnings.append(
                f"model.limits allows {name}={wrong[0]}, which does not work"
            )
        least, most, step = limit.get("min", 1), limit.get("max"), limit.get("multiple_of", 1)
        outside = {
            least - 1,
            constraints.least,
            (most or 0) + 1,
            (most or 0) + (constraints.step or 1),
        }
        inside = {
            n + d
            for n in (constraints.usual, constraints.least)
            for d in (1, constraints.step or 1)
        }
        wider = [
            n for n in outside | inside if n > 0 and constraints.claims(n) and not self._allowed(n)
        ]
        if wider:
            kind = "any size" if step == 1 else f"multiples of {step}"
            upto = "up" if most is None else f"to {most:,}"
            self.notes.append(f"model.limits allows only {kind} from {max(least, step):,} {upto}")

    def _allowed(self, size: int) -> bool:
        return self._all.workload.takes(self._name, size)
