"""MLflow: a run for each job with its metrics and files, a parent run for each sweep."""

from __future__ import annotations

import getpass
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.markup import escape

import modelbench
from modelbench.results import Job, JobStatus, Result, Summary
from modelbench.results.commands import joined
from modelbench.results.reading import FILE, digest
from modelbench.sinks.console import terminal
from modelbench.sinks.mlflow_model import finish_model, log_model
from modelbench.sinks.mlflow_store import HOUR_S, JOB, RECORDED, Store, owner
from modelbench.sinks.page import REPORT

log = logging.getLogger(__name__)
T = TypeVar("T")

STATUS = {"passed": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
LONGEST_PARAM = 6000  # characters; MLflow refuses more
LONGEST_SERIES = 500  # points; more would slow the charts down, and results.json has them all
BATCH = 1000, 100  # metrics and params that MLflow takes in one call


@dataclass
class MLflow:
    """Records jobs and sweeps. What goes wrong here is a warning: the results are on disk."""

    uri: str | None = None
    """Tracking server or database; None is MLFLOW_TRACKING_URI, or outputs/mlflow.db."""
    experiment: str | None = None
    """None is MLFLOW_EXPERIMENT_NAME, or modelbench."""

    def __post_init__(self) -> None:
        """Start without a run."""
        self.broken = False
        """Whether something could not be recorded."""
        self._run_id: str | None = None
        self._model_id: str | None = None
        self._directory = Path()
        self._sort_by = ""
        self._filter = ""

    def prepare(self, directory: Path) -> None:
        """Import MLflow and open the store, while the fork server imports torch on another core."""
        self._directory = directory
        self._try(lambda _: None, needs_run=False)

    def open(self, job: Job) -> None:
        """Start the job's run, with its params and tags."""
        tags = {
            "kind": "job",
            "model": job.model,
            "test": job.test,
            "device": job.device,
            "precision": job.precision,
            "torch_version": str((job.environment.get("versions") or {}).get("torch")),
            "git_dirty": str(job.environment.get("git_dirty")),
            JOB: job.id,
            "machine": str(job.environment.get("gpu") or job.environment.get("cpu") or ""),
        }
        if job.environment.get("git_commit"):
            tags["mlflow.source.git.commit"] = job.environment["git_commit"]
        if job.sweep_id:
            tags["sweep_id"] = job.sweep_id
        if job.parent_run_id:
            tags["mlflow.parentRunId"] = job.parent_run_id
        short = {name: getattr(job, name) for name in ("model", "test", "device", "precision")}
        short["runtime"] = (job.config.get("runtime") or {}).get("name", "eager")
        params = {**short, **job.axes, "seed": job.seed}
        params = {**dict(_flat("", job.config)), **params}
        if job.earlier is not None:
            self._try(lambda store: store.forget(job.id), needs_run=False)
        tests = (job.config.get("test") or {}).values()
        seconds = sum(float(stage.get("timeout_s", 0)) for stage in tests)
        # What is uploaded, or gone on with, began when it says so.
        at = datetime.now(UTC) if job.earlier is None else datetime.fromisoformat(job.started)
        self._start(job.name, job.directory, tags, params, (seconds, at))
        if (parent := job.parent_run_id) is not None:
            self._try(lambda store: store.prolong(parent, seconds + HOUR_S))
        if (run_id := self._run_id) is not None:
            self._model_id = self._try(lambda store: log_model(store, job, run_id))
        self._metrics({f"input/{axis}": size for axis, size in job.axes.items()}, {}, {})

    def has(self, job_id: str, directory: Path) -> bool:
        """Return whether the whole of a job is in the store, as it now is on disk."""
        self._directory, now = directory, digest(directory / FILE)
        return bool(self._try(lambda store: store.recorded(job_id, now), needs_run=False))

    def running(self, query: str, directory: Path) -> str | None:
        """Return the id of a run that fits and that a process is still recording."""
        self._directory = directory
        return self._try(lambda store: store.running(query), needs_run=False)

    def progress(self, stage: str, text: str) -> None:
        """Do nothing: progress is for people who wait."""

    def keep(self, result: Result) -> None:
        """Do nothing: what is recorded is complete."""

    def record(self, result: Result) -> None:
        """Log a stage's metrics in one batch, and its files."""
        values = {name: metric.value for name, metric in result.metrics.items()}
        self._metrics(values, result.series, result.curves)
        self._files(result.artifacts)
        medians = [name for name in values if name.endswith("p50_ms")]
        if medians and (not self._sort_by or medians[0].startswith("benchmark/")):
            self._sort_by = medians[0]

    def close(self, summary: Summary) -> None:
        """Log the log and `results.json`, and end the run as it really ended."""
        self._files(["results.json", "model_test.log", REPORT])
        self._files([f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")])
        self._end(summary.status)

    def open_sweep(
        self, name: str, directory: Path, params: Mapping[str, Any], *, again: bool = False
    ) -> str | None:
        """Start the parent run of a sweep, or go on with it.

        Returns its id, or None where there is no MLflow.
        """
        self._filter = f"tags.sweep_id = '{name}' and tags.kind = 'job'"
        tags = {"kind": "sweep", "sweep_id": name}
        if again:
            self._directory = directory
            self._run_id = self._try(lambda store: store.reopened(name), needs_run=False)
            if self._run_id or self.broken:
                return self._run_id
        self._start(name, directory, tags, params, (HOUR_S, datetime.now(UTC)))
        return self._run_id

    def close_sweep(
        self, status: JobStatus, counts: Mapping[str, int], files: Sequence[str], sort_by: str
    ) -> None:
        """Log the sweep's summary and end its parent run; the link will sort by `sort_by`."""
        self._sort_by = sort_by
        self._metrics({f"sweep/{name}": count for name, count in counts.items()}, {}, {})
        self._files(files)
        self._end(status)

    def hint(self) -> str | None:
        """Return the command that opens the UI, and the link that lands on the comparison."""
        return self._try(lambda store: store.hint(self._filter, self._sort_by), needs_run=False)

    def _start(
        self,
        name: str,
        directory: Path,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        times: tuple[float, datetime],
    ) -> None:
        """Start a run, which ends within so many seconds, or has been killed; and when it began."""
        self._directory = directory
        seconds, at = times
        tags = {
            **tags,
            "status": "running",
            "modelbench_version": modelbench.__version__,
            "mlflow.runName": name,
            "mlflow.user": _user(),
            "mlflow.source.name": "modelbench",
            "mlflow.source.type": "LOCAL",
            # By these the next run here tells that this process is gone, should it be killed.
            **owner(seconds),
        }

        def start(store: Store) -> None:
            from mlflow.entities import Param

            run = store.client.create_run(
                store.experiment_id, int(at.timestamp() * 1e3), tags, run_name=name
            )
            entries = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in params.items()]
            self._run_id = run.info.run_id
            for part in _parts(entries, BATCH[1]):
                store.client.log_batch(self._run_id, params=part)

        self._try(start, needs_run=False)

    def _metrics(
        self,
        values: Mapping[str, float],
        series: Mapping[str, Sequence[float | None]],
        curves: Mapping[str, Mapping[int, float | None]],
    ) -> None:
        def send(store: Store) -> None:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            of = {"model_id": self._model_id} if self._model_id else {}
            entries = [Metric(name, value, now, 0, **of) for name, value in values.items()]
            for name, points in series.items():
                entries += [Metric(name, value, now, step) for step, value in _thinned(points)]
            for name, sizes in curves.items():  # the step is the size
                entries += [Metric(name, y, now, x) for x, y in sizes.items() if y is not None]
            for part in _parts(entries, BATCH[0]):
                store.client.log_batch(self._run_id, metrics=part)

        self._try(send)

    def _files(self, names: Sequence[str]) -> None:
        def send(store: Store) -> None:
            for name in names:
                path = self._directory / name
                if path.is_file():
                    folder = path.parent.relative_to(self._directory).as_posix()
                    store.client.log_artifact(self._run_id, path, None if folder == "." else folder)

        self._try(send)

    def _end(self, status: JobStatus) -> None:
        def end(store: Store) -> None:
            if self._model_id is not None:
                finish_model(store, self._model_id, status)
            store.client.set_tag(self._run_id, "status", status)
            store.client.set_tag(self._run_id, RECORDED, self._digest())
            store.client.set_terminated(self._run_id, STATUS[status])

        self._try(end)

    def _digest(self) -> str:
        """Return what tells the recorded results from others of the same job."""
        file = self._directory / FILE
        return digest(file) if file.is_file() else "whole"

    def _try(self, act: Callable[[Store], T], *, needs_run: bool = True) -> T | None:
        """Do something with the store; whatever fails is said once, and ends the recording."""
        if self.broken or (needs_run and self._run_id is None):
            return None
        try:
            return act(Store.open(self.uri, self.experiment))
        except Exception as error:
            self.broken = True
            log.exception("MLflow")
            why = str(error).partition("\n")[0]
            if isinstance(error, ModuleNotFoundError):
                why += " (pip install mlflow, or leave it out with tracker=none)"
            where = escape(str(self._directory))
            command = escape(joined(["python", "-m", "modelbench.upload", str(self._directory)]))
            terminal(errors=True).print(
                f"\n[yellow]warning:[/] MLflow has not recorded this: {escape(why)}\n"
                f"The results are in {where}; once it works again, upload them with\n"
                f"  {command}",
                soft_wrap=True,
            )
            return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return "unknown"


def _flat(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    """Flatten a configuration into dotted names."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(f"{path}.{key}" if path else str(key), value)
    else:
        yield path, node


def _thinned(points: Sequence[float | None]) -> list[tuple[int, float]]:
    stride = max(1, -(-len(points) // LONGEST_SERIES))
    return [(step, value) for step, value in list(enumerate(points))[::stride] if value is not None]


def _parts(entries: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
