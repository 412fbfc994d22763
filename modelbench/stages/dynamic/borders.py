"""The borders of an axis: found on shapes alone, run, and told as the runs have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from modelbench.measurement.memory.tolerance import missed, missed_by
from modelbench.stages.dynamic.constraints import Needs
from modelbench.stages.dynamic.estimate import Axis
from modelbench.stages.dynamic.trials import (
    Outcome,
    Task,
    at_size,
    needs_by_running,
    out_of_memory,
    tried_between,
)

if TYPE_CHECKING:
    from modelbench.stages.dynamic.session import Session

MIB = 2**20
PROCESSES = 12
"""In which one border is looked for, where sizes end them."""


class Borders:
    """What an axis needs, as far as it is known."""

    def __init__(
        self,
        name: str,
        foreseen: Axis | None,
        ran: dict[int, Outcome],
        seconds: Callable[[int], float],
        session: Session,
    ) -> None:
        """Take the runs so far; `seconds` foresees a call at a size."""
        self.needs: Needs | None = foreseen.needs if foreseen else None
        self.notes: list[str] = []
        self._name, self._foreseen, self._ran, self._seconds = name, foreseen, ran, seconds
        self._all, self._report = session, session.report
        self._searched: dict[int, bool] = {}
        """Sizes that were run in a search: whether they work."""
        self._too_long: dict[int, str] = {}
        """Sizes that were not run for their time, and what is foreseen of them."""
        self._limit: Mapping[str, int] = session.workload.limits.get(name, {})

    def find(self) -> None:
        """Run what borders on what does not work; at least one size has been run."""
        if self._foreseen is None:
            self._by_running()
        self._run_borders()
        if self.needs is None:
            return
        self.needs = self.needs.revised(self._worked)
        if self.needs.step is not None:
            self._close(up=False)
            self._close(up=True)
        # Of what the runs of others have ruled out since, nothing is foreseen any more.
        self.notes += [told for size, told in self._too_long.items() if self.needs.claims(size)]
        self._tell_largest()
        self._hold_to_limits(self.needs)

    def told(self) -> str | None:
        """Sum it up in words."""
        if self.needs is None or (self._ran and not self._good):
            return None
        return self.needs.told(max(self._good, default=0))

    @property
    def _worked(self) -> dict[int, bool]:
        """Tell of each size that was run whether the model takes it."""
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
        self._all.context.say(f"finding which {self._name} it takes, by running it")
        task = partial(needs_by_running, axis=self._name, far=max(self._good), end_s=end_s)
        (found,) = self._all.do([task])
        if isinstance(found, Needs):
            self.needs, self._searched = found, dict(found.known)

    def _run_borders(self) -> None:
        """Run the sizes on either side of each border, where there is room and time for them."""
        needs = self.needs
        if needs is None or needs.step is None or self._foreseen is None:
            return
        # The greatest, and beyond, takes what it takes on shapes alone; a failing one the same.
        stands = {size: size for size in (needs.least, needs.usual + needs.step)}
        if needs.below is not None:
            stands[needs.below] = needs.least
        if needs.above is not None:
            stands |= {needs.most: needs.most, needs.above: needs.most}
        if most := self._limit.get("max"):
            stands |= {most: most, most + needs.step: most}
        if not self._foreseen.largest.error:
            stands[self._foreseen.largest.size] = self._foreseen.largest.size
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
                    f"{self._name}={size}, foreseen to fit: {outcome.error}"
                )

    def _room(self, size: int) -> bool:
        """Tell whether a size may be run; say so where it is only for its time that it may not."""
        assert self._foreseen is not None
        known = {**self._foreseen.further, self._foreseen.largest.size: self._foreseen.largest}
        if size not in known or known[size].peak > self._all.most:
            return False
        expected = self._seconds(size)
        if expected <= self._all.call_s:
            return True
        self._too_long[size] = (
            f"{size:,} takes {known[size].peak / MIB:,.0f} MiB (foreseen; not run, since it would "
            f"take about {expected:.0f} s)"
        )
        return False

    def _close(self, *, up: bool) -> None:
        """Look by runs for a border that the runs have left wide, or have moved."""
        for _ in range(PROCESSES):
            needs = self.needs
            assert needs is not None
            step = needs.step or 1
            good, bad = (needs.most, needs.above) if up else (needs.least, needs.below)
            bad = needs.floor - step if bad is None and not up else bad
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
            self.needs = needs.revised(self._worked)
            if all(found.values()) or len(found) > 1:
                return  # its time is up, or it is found

    def _tell_largest(self) -> None:
        """Say what the largest takes, beside what was foreseen."""
        needs, foreseen = self.needs, self._foreseen
        if needs is None or not self._good:
            return
        found = None
        if foreseen is not None and foreseen.largest.error is not None:
            self.notes.append(f"its memory is not foreseen: {foreseen.largest.error}")
        elif foreseen is not None and needs.claims(foreseen.largest.size):
            found = foreseen.largest.size
        if found is not None and found < max(self._good):  # no time was left to look further
            found = None
        largest = found or needs.greatest
        if largest is None or largest not in self._good:
            return
        self._report.metric(f"{self._name}/largest", largest, "count")
        if largest == found and foreseen is not None and largest in self._ran:
            told, run = foreseen.largest.peak, self._ran[largest].peak
            self.notes.append(
                f"{largest:,} takes {told / MIB:,.0f} MiB (foreseen; {run / MIB:,.0f} when it was "
                "run)"
            )

    def hold_to_estimates(self, estimates: Mapping[int, int]) -> None:
        """Warn of the run whose memory misses its estimate, in bytes, by most."""
        known = dict(estimates)
        if self._foreseen is not None:
            further = [*self._foreseen.further.values(), self._foreseen.largest]
            known |= {f.size: f.peak for f in further if f.error is None}
        peaks = {n: outcome.peak for n, outcome in self._ran.items() if outcome.error is None}
        both = {n: (known[n], peak) for n, peak in peaks.items() if known.get(n)}
        wrong = {n: (told, found) for n, (told, found) in both.items() if missed(told, found)}
        if not wrong:
            return
        size = max(wrong, key=lambda n: abs(wrong[n][1] / wrong[n][0] - 1))
        told, found = wrong[size]
        self._report.warnings.append(
            f"{self._name}={size}: {found / MIB:,.0f} MiB when it was run, "
            f"{missed_by(told, found)} than the {told / MIB:,.0f} foreseen: what the kernels need "
            "for themselves"
        )

    def _hold_to_limits(self, needs: Needs) -> None:
        """Say where `model.limits` and what was found are not the same."""
        limit, name = self._limit, self._name
        if not limit:
            return
        wrong = [n for n in sorted(needs.known) if self._allowed(n) and not needs.known[n]]
        wrong = [n for n in wrong if n in self._ran]
        if wrong:
            self._report.warnings.append(
                f"model.limits allows {name}={wrong[0]}, which does not work"
            )
        least, most, step = limit.get("min", 1), limit.get("max"), limit.get("multiple_of", 1)
        outside = {least - 1, needs.least, (most or 0) + 1, (most or 0) + (needs.step or 1)}
        inside = {n + d for n in (needs.usual, needs.least) for d in (1, needs.step or 1)}
        wider = [n for n in outside | inside if n > 0 and needs.claims(n) and not self._allowed(n)]
        if wider:
            kind = "any size" if step == 1 else f"multiples of {step}"
            upto = "up" if most is None else f"to {most:,}"
            self.notes.append(f"model.limits allows {kind} from {max(least, step):,} {upto} only")

    def _allowed(self, size: int) -> bool:
        return self._all.workload.takes(self._name, size)
