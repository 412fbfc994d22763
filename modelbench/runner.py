"""One job: a worker for each stage, and every result to every sink at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from modelbench import config as schema
from modelbench import reasons
from modelbench.results import Job, Result, Summary, verdict
from modelbench.sinks.sink import Sink
from modelbench.worker import FORKS, START_S, Died, Hello, Order, Worker

log = logging.getLogger(__name__)


class ConfigurationError(Exception):
    """The configuration cannot be run; `mistakes` has one line for each reason."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def run(job: Job, sinks: Sequence[Sink]) -> Summary:
    """Run the job's stages, each isolated, and tell the sinks.

    Raises ConfigurationError before the sinks are opened where the worker finds that the
    configuration cannot be run. On Ctrl-C and SIGTERM the sinks are closed as killed.
    """
    stages = schema.stages(job.config)
    desk = _Desk(job)
    opened: list[Sink] = []
    results: list[Result] = []
    try:
        _tell(sinks, "modelbench", "importing torch and the model's code")
        try:
            trouble, hello = desk.hire()
        finally:
            _tell(sinks, "modelbench", "")
        if hello is not None:
            environment = {**job.environment, **hello.environment}
            job = replace(job, device=hello.device, environment=environment)
        for sink in sinks:
            sink.open(job)
            opened.append(sink)
        for stage, settings in {} if trouble else stages.items():
            result = desk.run(stage, settings["timeout_s"], partial(_tell, sinks, stage))
            results.append(result)
            for sink in sinks:
                sink.record(result)
        summary = Summary("failed" if trouble else verdict(results), results, trouble)
    except (KeyboardInterrupt, SystemExit) as stop:
        why = "Ctrl-C" if isinstance(stop, KeyboardInterrupt) else "SIGTERM"
        summary = Summary("killed", results, f"ended by {why}")
        raise
    finally:
        desk.clear()
        for sink in opened:
            sink.close(summary)
    return summary


def _tell(sinks: Sequence[Sink], stage: str, text: str) -> None:
    for sink in sinks:
        sink.progress(stage, text)


class _Desk:
    """Keeps a worker at hand for the next stage."""

    def __init__(self, job: Job) -> None:
        limits = job.config["model"].get("limits", {})
        multiples = {axis: limit.get("multiple_of", 1) for axis, limit in limits.items()}
        self._smaller = reasons.smaller(job.axes, multiples)
        self._order = Order(job.config, job.axes, job.directory, self._smaller)
        self._worker: Worker | None = None

    def hire(self) -> tuple[str | None, Hello | None]:
        """Start a worker and wait for its hello, or give the reason why it never came."""
        worker = self._worker = Worker(self._order)
        try:
            hello = worker.hello()
        except (Died, TimeoutError) as end:
            self._worker = None
            return self._reason(end, f"the worker did not start within {START_S:g} s"), None
        if hello.mistakes:
            self.clear()
            raise ConfigurationError(hello.mistakes)
        return None, hello

    def run(self, stage: str, timeout_s: float, say: Callable[[str], None]) -> Result:
        """Run one stage; however it ends, there is a result."""
        start = time.perf_counter()
        trouble = self.hire()[0] if self._worker is None else None
        if self._worker is None:
            return Result(stage, "failed", time.perf_counter() - start, trouble)
        try:
            result = self._worker.run(stage, timeout_s, say)
        except (Died, TimeoutError) as end:
            self._worker = None
            reason = self._reason(end, reasons.of_timeout(stage, timeout_s))
            return Result(stage, "failed", time.perf_counter() - start, reason)
        if FORKS:  # a fresh process costs milliseconds, and keeps one stage's caches from the next
            self.clear()
        return result

    def clear(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _reason(self, end: Died | TimeoutError, late: str) -> str:
        reason = reasons.of_exit(end.ended, self._smaller) if isinstance(end, Died) else late
        log.error("%s", reason)
        return reason
