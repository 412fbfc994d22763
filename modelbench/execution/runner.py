"""One job: a worker for each stage, and every result to every sink at once."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from modelbench.config import schema
from modelbench.execution.protocol import SCRATCH, Hello, Order
from modelbench.execution.worker import START_S, Died, Worker
from modelbench.results import Job, Partial, Result, Summary, failures, verdict
from modelbench.results.failures import Exit
from modelbench.sinks.sink import Sink
from modelbench.system.signals import Terminated, held_back

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
    desk = _Desk(job)
    opened: list[Sink] = []
    results: list[Result] = []
    summary = Summary("failed", results)
    try:
        hello, trouble = desk.greet(partial(_tell, sinks, "modelbench"))
        if hello is not None:
            environment = {**job.environment, **hello.environment}
            job = replace(job, device=hello.device, environment=environment, config=desk.config)
        with held_back():
            for sink in sinks:
                opened.append(sink)
                sink.open(job)
        for stage, settings in {} if trouble else schema.stages(job.config).items():
            result = desk.run(stage, settings["timeout_s"], partial(_tell, sinks, stage))
            results.append(result)
            for sink in sinks:
                sink.record(result)
        summary = Summary("failed" if trouble else verdict(results), results, trouble)
    except (KeyboardInterrupt, Terminated) as stop:
        why = stop.name if isinstance(stop, Terminated) else "Ctrl-C"
        summary = Summary("killed", results, f"ended by {why}")
        raise
    except Exception as error:
        log.exception("the job failed")
        summary = Summary("failed", results, f"{type(error).__name__}: {error}")
        raise
    finally:
        with held_back():
            desk.clear()
            _close(opened, summary)
    return summary


def _tell(sinks: Sequence[Sink], stage: str, text: str) -> None:
    for sink in sinks:
        sink.progress(stage, text)


def _close(sinks: Sequence[Sink], summary: Summary) -> None:
    """Close every sink, whatever becomes of the others."""
    with contextlib.ExitStack() as stack:  # goes on after an exception, and raises it at the end
        for sink in reversed(sinks):
            stack.callback(sink.close, summary)


class _Desk:
    """Keeps a worker at hand for the next stage."""

    def __init__(self, job: Job) -> None:
        limits = job.config["model"]["limits"]
        multiples = {axis: limit["multiple_of"] for axis, limit in limits.items()}
        self._smaller = failures.smaller(job.axes, multiples)
        self._order = Order(job.config, job.axes, job.directory, self._smaller)
        self._worker: Worker | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration, with what workers have found out of it."""
        return self._order.config

    def greet(self, say: Callable[[str], None]) -> tuple[Hello | None, str | None]:
        """Start the first worker; give its hello, or the reason why it never came."""
        say("importing torch and the model's code")
        try:
            return self._hire(), None
        except _NoWorker as failure:
            return None, str(failure)
        finally:
            say("")

    def run(self, stage: str, timeout_s: float, say: Callable[[str], None]) -> Result:
        """Run one stage; however it ends, there is a result.

        Where its process dies in a part, a new one goes on after it.
        """
        end = time.perf_counter() + timeout_s
        result, kept = self._run(stage, {}, timeout_s, timeout_s, say)
        while kept is not None and kept.rest:
            left = max(0.0, end - time.perf_counter())
            later, kept = self._run(stage, kept.rest, left, timeout_s, say)
            result = result.joined(later)
        return result

    def _run(
        self,
        stage: str,
        given: Mapping[str, Any],
        left_s: float,
        timeout_s: float,
        say: Callable[[str], None],
    ) -> tuple[Result, Partial | None]:
        """Run a stage once; gives what it kept, too, where its process has died in a part of it."""
        start = time.perf_counter()
        kept = None
        try:
            if self._worker is None:
                self._hire()
            assert self._worker is not None
            result = failures.in_time(self._worker.run(stage, given, left_s, say), left_s)
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
            if (
                self._order.forked
            ):  # a new one costs little, and keeps a stage's caches from the next
                ended = self.clear()
                if ended is not None and ended.peak_bytes is not None:
                    peak = {"worker_peak_mib": ended.peak_bytes / 2**20}
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
        shutil.rmtree(self._order.directory / SCRATCH, ignore_errors=True)

    def _hire(self) -> Hello:
        try:
            self._worker = Worker(self._order)
            hello = self._worker.hello()
            if hello.poisoned and self._order.forked:
                log.warning(
                    "%s was started before the worker was forked, as importing the model's code "
                    "does: workers are started afresh, which takes longer",
                    hello.poisoned.upper(),
                )
                self.clear()
                self._order = replace(self._order, forked=False)
                return self._hire()
            if hello.poisoned:
                raise _NoWorker(
                    f"importing the model's code starts {hello.poisoned.upper()} and then forks, "
                    "after which nothing runs on it; start it where the model is built"
                )
        except Died as death:
            raise _NoWorker(failures.of_exit(death.ended, self._smaller)) from death
        except TimeoutError:
            raise _NoWorker(f"the worker did not start within {START_S:g} s") from None
        except (EOFError, OSError) as error:
            raise _NoWorker(failures.of_server(error)) from error
        if hello.mistakes:
            self.clear()
            raise ConfigurationError(hello.mistakes)
        if hello.model:  # found out once, for all workers
            model = {**self._order.config["model"], **hello.model}
            self._order = replace(self._order, config={**self._order.config, "model": model})
        return hello


class _NoWorker(Exception):  # noqa: N818  (what happened, not what is wrong here)
    """No worker could be had; the message is the reason."""
