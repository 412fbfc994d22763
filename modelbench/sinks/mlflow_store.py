"""The MLflow store: a server or a database, found or created, with what a dead process left."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    import psutil
    from mlflow import MlflowClient

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
    """End the runs of processes on this machine that were killed before they could."""
    running = f"attributes.status = 'RUNNING' and tags.host = '{socket.gethostname()}'"
    for run in client.search_runs([experiment_id], running):
        pid, _, started = run.data.tags.get("process", "").partition("/")
        if pid.isdigit() and not _lives(int(pid), float(started)):
            client.set_tag(run.info.run_id, "status", "killed")
            client.set_terminated(run.info.run_id, "KILLED")


def since_boot(process: psutil.Process) -> float:
    """Return when a process started, in seconds; a clock that is set does not change it."""
    import psutil

    return process.create_time() - psutil.boot_time()


def _lives(pid: int, started: float) -> bool:
    import psutil

    try:
        return abs(since_boot(psutil.Process(pid)) - started) < 2
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
