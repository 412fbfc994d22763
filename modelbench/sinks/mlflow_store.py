"""The MLflow store: a server or a database, found or created, with what a dead process left."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from modelbench.system.processes import lives, since_boot

if TYPE_CHECKING:
    from mlflow import MlflowClient

JOB, RECORDED = "job_id", "recorded"
"""Tags: which job a run is of, and that the whole of it has arrived."""
HOUR_S, GRACE_S = 3600.0, 900.0
"""How long a sweep may take to begin its next job, and what nobody counts: imports, uploads."""
ANSWER_S = 3.0
"""How long a server may take to answer at all."""

_SILENT: dict[str, str] = {}
"""Servers that have not answered, and why: the jobs of a sweep need not each wait for them."""


@dataclass(frozen=True)
class Store:
    """One experiment in one store."""

    uri: str
    experiment_id: str
    client: MlflowClient

    @classmethod
    def open(cls, uri: str | None, experiment: str | None) -> Store:
        """Find or create the experiment, once a process; several may begin on a fresh store.

        Raises ConnectionError for a server that does not answer within `ANSWER_S`.
        """
        return _open(
            uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{local_store()}",
            experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "modelbench",
        )

    def hint(self, search: str, sort_by: str) -> str:
        """Return the command that opens the UI and the link that lands on the comparison."""
        query = "workflowType=machine_learning&compareRunsMode=CHART"
        if search:
            query += f"&searchFilter={quote(search)}"
        if sort_by:
            query += f"&orderByKey=metrics.%60{quote(sort_by, safe='')}%60&orderByAsc=true"
        page = f"/#/experiments/{self.experiment_id}/runs?{query}"
        if urlsplit(self.uri).scheme in {"http", "https"}:
            return f"Compare runs at {self.uri}{page}"
        uri = self.uri.replace(f"{Path.cwd()}{os.sep}", "")
        return (
            f"Compare runs: mlflow ui --backend-store-uri {uri}\n"
            f"  then open http://127.0.0.1:5000{page}"
        )

    def recorded(self, job_id: str, content: str) -> bool:
        """Return whether the whole of a job is here, by the digest of its results."""
        query = f"tags.{JOB} = '{job_id}' and tags.{RECORDED} = '{content}'"
        return bool(self.client.search_runs([self.experiment_id], query, max_results=1))

    def running(self, query: str) -> str | None:
        """Return the id of a run that fits and is not over; what was killed is over by now."""
        query += " and attributes.status = 'RUNNING'"
        found = self.client.search_runs([self.experiment_id], query, max_results=1)
        return str(found[0].info.run_id) if found else None

    def prolong(self, run_id: str, seconds: float) -> None:
        """Let a run be taken for alive for so long."""
        self.client.set_tag(run_id, "until", owner(seconds)["until"])

    def forget(self, job_id: str) -> None:
        """Delete the runs of a job, which is recorded anew; MLflow keeps them as deleted."""
        query = f"tags.{JOB} = '{job_id}'"
        for run in self.client.search_runs([self.experiment_id], query):
            self.client.delete_run(run.info.run_id)

    def reopened(self, sweep_id: str) -> str | None:
        """Let the parent run of a sweep go on; return its id, or None where it is not here."""
        query = f"tags.sweep_id = '{sweep_id}' and tags.kind = 'sweep'"
        found = self.client.search_runs([self.experiment_id], query, max_results=1)
        if not found:
            return None
        run_id = str(found[0].info.run_id)
        for name, value in {**owner(HOUR_S), "status": "running"}.items():
            self.client.set_tag(run_id, name, value)
        self.client.update_run(run_id, "RUNNING")
        return run_id


def _make_whole(uri: str) -> None:
    """Make a fresh file of SQLite beside its place, and put it there when all its tables are there.

    Killed in between, MLflow would stumble over the tables that it had made, for ever. Windows
    moves no file that is open, and has to do without.
    """
    file = Path(uri.removeprefix("sqlite:///"))
    plain = uri.startswith("sqlite:///") and not any(odd in uri for odd in (":memory:", "?"))
    if not plain or file.exists() or sys.platform == "win32":
        return
    from mlflow import MlflowClient

    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"sqlite:///{part}").search_experiments(max_results=1)
    part.replace(file)


def owner(seconds: float) -> dict[str, str]:
    """Return the tags by which a later process tells that this one is gone, should it be killed.

    By its number where that means anything: containers may share a hostname, and count their
    processes alike. From elsewhere, by the time after which it cannot be there any more: `seconds`
    from now.
    """
    import psutil

    me = psutil.Process()
    return {
        "host": _place(),
        "process": f"{me.pid}/{since_boot(me):.1f}",
        "until": f"{time.time() + seconds + GRACE_S:.0f}",
    }


def _place() -> str:
    """Name the processes that this one can see: by host, its start, and the container on it."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # only Linux tells these two
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8])
        parts.append(Path("/proc/self/ns/pid").readlink().name)
    return "/".join(parts)


@lru_cache(maxsize=4)
def _open(uri: str, experiment: str) -> Store:
    # What MLflow does by itself when a server goes away takes minutes, and it calls home.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if urlsplit(uri).scheme in {"http", "https"}:
        _greet(uri)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with _alone(uri):
        _make_whole(uri)
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        identity = found.experiment_id if found else _create(client, uri, experiment)
    _bury(client, identity)
    return Store(uri, identity, client)


def _create(client: MlflowClient, uri: str, experiment: str) -> str:
    from mlflow.exceptions import MlflowException

    place = (_local() / "mlartifacts").as_uri() if uri.startswith("sqlite") else None
    try:
        return str(client.create_experiment(experiment, artifact_location=place))
    except MlflowException:  # another process was faster, on a server that no lock covers
        found = client.get_experiment_by_name(experiment)
        if found is None:
            raise
        return str(found.experiment_id)


def local_store() -> Path:
    """Return the database of the current folder, which need not be there."""
    return _local() / "mlflow.db"


def _local() -> Path:
    return Path.cwd() / "outputs"


def _greet(uri: str) -> None:
    """Raise ConnectionError unless something answers, be it with an error."""
    import urllib.error
    import urllib.request

    if uri in _SILENT:
        raise ConnectionError(_SILENT[uri])
    try:
        urllib.request.urlopen(f"{uri}/health", timeout=ANSWER_S).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        _SILENT[uri] = f"{uri} does not respond ({why})"
        raise ConnectionError(_SILENT[uri]) from error


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Let one process at a time create a database: MLflow's migrations do not expect company."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    from filelock import FileLock

    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        yield


def _bury(client: MlflowClient, experiment_id: str) -> None:
    """End the runs of processes that were killed before they could."""
    here, now = _place(), time.time()
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if tags.get("host") == here:
            pid, _, started = tags.get("process", "").partition("/")
            gone = pid.isdigit() and not lives(int(pid), float(started))
        else:
            gone = now > float(tags.get("until", "inf"))
        if gone:
            client.set_tag(run.info.run_id, "status", "killed")
            client.set_terminated(run.info.run_id, "KILLED")
