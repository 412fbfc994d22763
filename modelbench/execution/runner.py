"""One job: a worker for each stage, and every result to every sink at once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from modelbench.config import schema
from modelbench.execution.pool import WorkerPool
from modelbench.execution.schedule import Schedule, progress
from modelbench.results import Job, Result, Summary, verdict
from modelbench.sinks.sink import Sink
from modelbench.system.signals import Terminated, held_back

log = logging.getLogger(__name__)


def run(job: Job, sinks: Sequence[Sink]) -> Summary:
    """Run the job's stages, each isolated, and tell the sinks.

    Raises ConfigurationError before the sinks are opened where the worker finds that the
    configuration cannot be run. On Ctrl-C and SIGTERM the sinks are closed as killed.
    """
    pool = WorkerPool(job)
    opened: list[Sink] = []
    results: list[Result] = []
    summary = Summary("failed", results)
    try:
        ready, reason = pool.start(partial(progress, sinks, "modelbench"))
        if ready is not None:
            environment = {**job.environment, **ready.environment}
            job = replace(job, device=ready.device, environment=environment, config=pool.config)
        with held_back():
            for sink in sinks:
                opened.append(sink)
                sink.open(job)
        if not reason:
            Schedule(pool, schema.stages(job.config), sinks, results).run(job.earlier or ())
        summary = Summary("failed" if reason else verdict(results), results, reason)
    except (KeyboardInterrupt, Terminated) as stop:
        why = stop.name if isinstance(stop, Terminated) else "Ctrl-C"
        summary = Summary("killed", results, f"stopped by {why}")
        raise
    except Exception as error:
        log.exception("the job failed")
        summary = Summary("failed", results, f"{type(error).__name__}: {error}")
        raise
    finally:
        with held_back():
            pool.clear()
            _close(opened, summary)
    return summary


def _close(sinks: Sequence[Sink], summary: Summary) -> None:
    """Close every sink, whatever becomes of the others."""
    with contextlib.ExitStack() as stack:  # goes on after an exception, and raises it at the end
        for sink in reversed(sinks):
            stack.callback(sink.close, summary)
