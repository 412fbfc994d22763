"""The stages of one job in their order, and between them what fresh processes add to earlier ones.

A stage that measures time asks for further processes: they see other states of the machine where
other stages run in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from modelbench.execution.device_lock import others_here
from modelbench.execution.pool import WorkerPool
from modelbench.results import Result
from modelbench.sinks.sink import Sink


class Schedule:
    """What is run when, and which results the sinks have."""

    def __init__(
        self,
        pool: WorkerPool,
        stages: Mapping[str, Mapping[str, Any]],
        sinks: Sequence[Sink],
        results: list[Result],
    ) -> None:
        """Run the stages by their settings; `results` is filled, even where that is cut short."""
        self._pool, self._stages, self._sinks, self._results = pool, stages, sinks, results
        self._recorded: set[str] = set()
        self._beside: dict[str, int] = {}
        """Other jobs that ran on this machine meanwhile, at most, by stage."""

    def run(self, earlier: Sequence[Result] = ()) -> None:
        """Run all but those with an earlier result, which stands.

        Whatever ends it, each result that there is comes to every sink once.
        """
        known = {result.stage: result for result in earlier}
        try:
            for number, (stage, settings) in enumerate(self._stages.items(), start=1):
                say = partial(progress, self._sinks, stage)
                if stage in known:
                    self._results.append(known[stage])
                else:
                    with self._watching(stage):
                        ran = self._pool.run(stage, settings["timeout_s"], say)
                    self._results.append(ran)
                for place in range(number):
                    self._narrow(place, len(self._stages) - number)
        finally:
            for place in range(len(self._results)):
                self._record(place)

    def _narrow(self, place: int, to_come: int) -> None:
        """Let further processes add to a result: as many as are due now, with stages to come."""
        further = self._results[place].further
        due = further.processes // (to_come + 1) if further else 0
        while (further := self._results[place].further) is not None and (due > 0 or not to_come):
            result, due = self._results[place], due - 1
            timeout_s = self._stages[result.stage]["timeout_s"]
            text = f"another process, {further.processes} left"
            say = partial(progress, self._sinks, result.stage)
            say(text if further.processes > 0 else "plots")
            with self._watching(result.stage):
                self._results[place] = self._pool.again(result, timeout_s, say)
        if further is None:
            self._record(place)
        else:
            for sink in self._sinks:
                sink.keep(self._results[place])

    @contextmanager
    def _watching(self, stage: str) -> Iterator[None]:
        before = others_here()
        yield
        self._beside[stage] = max(self._beside.get(stage, 0), before, others_here())

    def _record(self, place: int) -> None:
        """Let the sinks have a result, once; marked, if it had not the machine to itself."""
        result = self._results[place]
        if result.stage in self._recorded:
            return
        self._recorded.add(result.stage)
        if beside := self._beside.get(result.stage):
            jobs = "another job ran" if beside == 1 else f"{beside} other jobs ran"
            why = f"{jobs} on this machine meanwhile: what was timed may be slower than it is"
            details = {**result.details, "jobs_beside": beside}
            result = replace(result, warnings=[*result.warnings, why], details=details)
            self._results[place] = result
        for sink in self._sinks:
            sink.record(result)


def progress(sinks: Sequence[Sink], stage: str, text: str) -> None:
    """Tell every sink what a stage is doing."""
    for sink in sinks:
        sink.progress(stage, text)
