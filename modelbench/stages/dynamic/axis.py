"""One axis of a model: its sizes, run one by one, and what they show."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from modelbench.measurement.numerics.consistency import NOT_COMPARED, Difference
from modelbench.stages.dynamic.borders import Borders
from modelbench.stages.dynamic.constraints import SizeConstraints
from modelbench.stages.dynamic.estimate import SEVERAL, Axis, Estimate
from modelbench.stages.dynamic.findings import add_exponents, compared
from modelbench.stages.dynamic.growth import Power, medians
from modelbench.stages.dynamic.plot import growth
from modelbench.stages.dynamic.trials import (
    Outcome,
    Task,
    at_size,
    not_square,
    outcomes,
    same_alone,
    same_padded,
)

if TYPE_CHECKING:
    from modelbench.stages.dynamic.session import Session

MIB, GIB = 2**20, 2**30
AGAIN_S = 15.0
"""Seconds that running all sizes may take for it to be done again in further processes."""
PADDING = 8
"""Tokens that are padded."""


class AxisTrials:
    """The sizes of one axis."""

    def __init__(
        self, name: str, wanted: list[int], estimated: Axis | None, session: Session
    ) -> None:
        self.name = name
        self.passed = self.failed = 0
        self._all, self._report = session, session.report
        self._workload, self._usual = session.workload, session.workload.axes[name]
        self._estimated = estimated
        self._sizes = {f.size: f for f in estimated.sizes} if estimated else {}
        self._ran: dict[int, Outcome] = {}
        self._good: dict[int, Outcome] = {}
        self._latencies: list[dict[int, float]] = []
        """Of each process, milliseconds by size."""
        self._borders = Borders(name, estimated, self._ran, self._expected, session)
        self._notes = self._borders.notes
        self.sizes = [size for size in wanted if self._fits(size)]

    def run(self) -> None:
        """Call the model at each size that fits, and at those that show the size constraints."""
        further = self._further()
        tasks: list[Task] = [partial(at_size, sizes={self.name: size}) for size in self.sizes]
        session = self._all
        start = perf_counter()
        found = outcomes(self._workload, [*tasks, *further.values()], session.each_s)
        for size, outcome in zip(self.sizes, found, strict=False):
            self._record(size, outcome)
            if self._slow(size, outcome):
                found.close()
                found = outcomes(self._workload, list(further.values()), session.each_s)
                break
        for name, outcome in zip(further, found, strict=True):
            self._told(name, outcome)
        self._latencies = [{size: outcome.p50_ms for size, outcome in self._good.items()}]
        if perf_counter() - start < AGAIN_S:
            self._time_again()
        if self._good:
            self._borders.find()

    def _time_again(self) -> None:
        """Time the sizes that work in further processes, too."""
        tasks: list[Task] = [partial(at_size, sizes={self.name: size}) for size in self._good]
        for _ in range(self._all.processes - 1):
            found = zip(self._good, outcomes(self._workload, tasks, self._all.each_s), strict=True)
            self._latencies.append({s: o.p50_ms for s, o in found if o.error is None})

    @property
    def constraints(self) -> SizeConstraints | None:
        """The size constraints of the axis; None where it is not known."""
        return self._borders.constraints

    def tell(self) -> None:
        """Add the curves, how they grow, and the sentence that sums it up."""
        report = self._report
        curves = {
            "p50_ms": medians(self._latencies),
            "peak_mib": {size: outcome.peak / MIB for size, outcome in self._good.items()},
            "macs_g": {f.size: f.macs / 1e9 for f in self._sizes.values() if f.macs},
        }
        report.curves |= {
            f"{self.name}/{name}": points for name, points in curves.items() if points
        }
        fits = {
            "scaling": ("latency", Power.over(self._latencies)),
            "memory": ("memory beyond the weights", self._memory()),
            "macs": ("MACs", Power.of(curves["macs_g"])),
        }
        grows = add_exponents(report, self.name, fits)
        if grows:
            self._notes.append(f"scaling exponents: {', '.join(grows)}")
        if told := self._borders.told():
            self._notes.insert(0, told)
        if told and (constraints := self.constraints) is not None:
            report.metric(f"{self.name}/smallest", constraints.least, "count")
            if constraints.divisor:
                report.metric(f"{self.name}/divisor", constraints.divisor, "count")
        self._borders.hold_to_estimates({f.size: f.peak for f in self._sizes.values()})
        report.notes.append(f"{self.name}: {'; '.join(self._notes)}")
        if len(self._good) > 1:
            title = f"{self._workload.name} over {self.name}"
            report.artifacts += growth(curves, self.name, title, self._all.context.directory)

    def _fits(self, size: int) -> bool:
        """Return whether a size may be run, and say why not."""
        found = self._sizes.get(size)
        if found is None or found.peak <= self._all.most:
            return True
        self._notes.append(
            f"{size:,} needs {found.peak / GIB:.1f} GiB and was not run (test.dynamic.memory_mib)"
        )
        return False

    def _slow(self, size: int, outcome: Outcome) -> bool:
        """Return whether the next size would take too long."""
        later = [s for s in self.sizes if s > size]
        if outcome.error is not None or not later:
            return False
        following = self._sizes.get(later[0], Estimate(self.name, later[0]))
        expected = self._seconds(following, size, outcome)
        if expected <= self._all.call_s:
            return False
        self._notes.append(
            f"{later[0]:,} was not run: a call would take about {expected:.0f} s "
            "(test.dynamic.call_s)"
        )
        return True

    def _seconds(self, there: Estimate, size: int, outcome: Outcome) -> float:
        """Estimate the seconds of a call by the MACs, or else by the size itself."""
        here, times = self._sizes.get(size), there.size / size
        if here and here.macs and there.macs:
            times = there.macs / here.macs
        return outcome.p50_ms * times / 1e3

    def _expected(self, size: int) -> float:
        """Estimate the seconds of a call by the largest that has been run."""
        tried, there = max(self._good), Estimate(self.name, size)
        if self._estimated is not None:
            further = {
                **self._estimated.further,
                self._estimated.largest.size: self._estimated.largest,
            }
            there = further.get(size, there)
        return self._seconds(there, tried, self._good[tried])

    def _record(self, size: int, outcome: Outcome) -> None:
        row: dict[str, Any] = {"error": outcome.error}
        if outcome.error is None:
            row |= {"shape": outcome.shape, "finite": outcome.finite}
        self._report.details.setdefault(self.name, {})[str(size)] = row
        self._ran[size] = outcome
        if outcome.error is None and outcome.finite:
            self.passed += 1
            self._good[size] = outcome
            return
        self.failed += 1
        why = outcome.error or "the output holds NaN or infinity"
        self._report.warnings.append(f"{self.name}={size}: {why}")

    def _further(self) -> dict[str, Task]:
        """Return the further calls that show the size constraints, and fit into the memory."""
        constraints, name, usual = self.constraints, self.name, self._usual
        tasks: dict[str, tuple[int, Task]] = {}
        if name == "batch_size":
            tasks["alone"] = max(SEVERAL, usual), same_alone
        if name == "sequence_length" and usual > 2 * PADDING:
            tasks["padded"] = usual, partial(same_padded, shorter=usual - PADDING)
        if name == "image_size" and constraints is not None and constraints.step is not None:
            larger = {name: usual + constraints.step}
            tasks["not square"] = (
                larger[name],
                partial(not_square, sizes={name: usual}, larger=larger),
            )
        return {what: task for what, (size, task) in tasks.items() if self._has_room(size)}

    def _has_room(self, size: int) -> bool:
        return not self._estimated or self._estimated.further[size].peak <= self._all.most

    def _told(self, name: str, outcome: Any) -> None:
        """Report what a further call has shown."""
        report, notes = self._report, self._notes
        if isinstance(outcome, Difference):
            notes += compared(report, name, outcome)
        elif name in ("alone", "padded"):
            if outcome is not None:
                report.warnings.append(f"{self.name}: {outcome.error}")
            elif name == "alone":  # else there is no mask
                notes.append(NOT_COMPARED)
        elif name == "not square":
            notes.append("also non-square" if outcome.error is None else "square only")

    def _memory(self) -> Power | None:
        """Fit what a call takes beyond the weights, as estimated, from the usual size up."""
        if self._estimated is None:
            return None
        found = [*self._sizes.values(), *self._estimated.larger]
        beyond = {
            f.size: f.peak - self._all.weights for f in found if f.peak and f.size >= self._usual
        }
        return Power.of(beyond)
