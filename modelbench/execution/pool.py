"""The workers of one job: one at hand for the next stage, whatever became of the last."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from modelbench.config.error import ConfigurationError
from modelbench.execution.protocol import SCRATCH, JobSpec, Ready, Task
from modelbench.execution.worker import START_S, Died, Worker
from modelbench.results import Job, Partial, Result, failures
from modelbench.results.failures import Exit
from modelbench.results.result import PEAK

log = logging.getLogger(__name__)

LEAST_S = 10.0
"""Seconds that a further process is given, and that plots may take beyond the time limit."""


class WorkerPool:
    """Keeps a worker at hand for the next stage."""

    def __init__(self, job: Job) -> None:
        limits = job.config["model"]["limits"]
        multiples = {axis: limit["multiple_of"] for axis, limit in limits.items()}
        self._smaller = failures.smaller(job.axes, multiples)
        self._spec = JobSpec(job.config, job.axes, job.directory, self._smaller, job.command)
        self._worker: Worker | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration, with what workers have found out of it."""
        return self._spec.config

    def start(self, say: Callable[[str], None]) -> tuple[Ready | None, str | None]:
        """Start the first worker; return its ready, or the reason why it never came."""
        say("importing torch and the model's code")
        try:
            return self._start(), None
        except _NoWorker as failure:
            return None, str(failure)
        finally:
            say("")

    def run(self, stage: str, timeout_s: float, say: Callable[[str], None]) -> Result:
        """Run one stage; however it ends, there is a result.

        Where its process dies in a part, a new one goes on after it.
        """
        end = time.perf_counter() + timeout_s
        result, kept = self._run(Task(stage), timeout_s, timeout_s, say)
        while kept is not None and kept.rest:
            left = max(0.0, end - time.perf_counter())
            later, kept = self._run(Task(stage, kept.rest), left, timeout_s, say)
            result = result.joined(later)
        return result

    def again(self, result: Result, timeout_s: float, say: Callable[[str], None]) -> Result:
        """Let a fresh process add to a stage that has run; return what stands then."""
        self.clear()  # a spawned worker would be the same process
        left_s, further = timeout_s - result.seconds, result.further
        if further is not None and further.processes > 0 and left_s < LEAST_S:
            why = f"{further.processes} further processes were left out: the time limit is reached"
            died = (*further.died, why)
            further = replace(further, processes=0, died=died)
            return replace(result, warnings=[*result.warnings, why], further=further)
        task = Task(result.stage, further=further)
        later, _ = self._run(task, max(LEAST_S, left_s), timeout_s, say)
        return result.narrowed(later)

    def _run(
        self, task: Task, left_s: float, timeout_s: float, say: Callable[[str], None]
    ) -> tuple[Result, Partial | None]:
        """Run a stage once; return what it kept, too, where its process died in a part of it."""
        start, stage = time.perf_counter(), task.stage
        kept = None
        try:
            if self._worker is None:
                self._start()
            assert self._worker is not None
            result = failures.in_time(self._worker.run(task, left_s, say), left_s)
        except (_NoWorker, Died, TimeoutError) as end:
            worker, self._worker = self._worker, None
            if isinstance(end, Died):
                reason = failures.of_exit(end.ended, self._smaller)
            else:
                late = isinstance(end, TimeoutError)
                reason = failures.of_timeout(stage, timeout_s) if late else str(end)
            log.error("stage %s: %s", stage, reason)
            seconds = time.perf_counter() - start
            result = Result(stage, "failed", seconds, reason)
            if worker is not None and worker.kept is not None:
                result = worker.kept.without_it(reason, seconds)
                kept = worker.kept if isinstance(end, Died) else None
        else:
            if self._spec.forked:  # a new one costs little, and has none of a stage's caches
                ended = self.clear()
                if ended is not None and ended.peak_bytes is not None:
                    peak = {PEAK: ended.peak_bytes / 2**20}
                    result = replace(result, details={**result.details, **peak})
        self._sweep_up()
        return result, kept

    def clear(self) -> Exit | None:
        """End the worker, if there is one, and tell how it was."""
        worker, self._worker = self._worker, None
        ended = None if worker is None else worker.kill()
        self._sweep_up()  # once more: on Windows what the worker had open could not be removed
        return ended

    def _sweep_up(self) -> None:
        shutil.rmtree(self._spec.directory / SCRATCH, ignore_errors=True)

    def _start(self) -> Ready:
        try:
            self._worker = Worker(self._spec)
            ready = self._worker.ready()
            if ready.poisoned and self._spec.forked:
                log.warning(
                    "importing the model's code initialised %s before the fork: "
                    "workers are spawned instead, which takes longer",
                    ready.poisoned.upper(),
                )
                self.clear()
                self._spec = replace(self._spec, forked=False)
                return self._start()
            if ready.poisoned:
                raise _NoWorker(
                    f"importing the model's code initialises {ready.poisoned.upper()} and forks, "
                    "after which it is unusable; initialise it where the model is built"
                )
        except Died as death:
            raise _NoWorker(failures.of_exit(death.ended, self._smaller)) from death
        except TimeoutError:
            raise _NoWorker(f"the worker did not start within {START_S:g} s") from None
        except (EOFError, OSError) as error:
            raise _NoWorker(failures.of_server(error)) from error
        if ready.errors:
            self.clear()
            raise ConfigurationError(ready.errors)
        if ready.model:  # found out once, for all workers
            model = {**self._spec.config["model"], **ready.model}
            self._spec = replace(self._spec, config={**self._spec.config, "model": model})
        return ready


class _NoWorker(Exception):  # noqa: N818  (what happened, not what is wrong here)
    """No worker could be had; the message is the reason."""
