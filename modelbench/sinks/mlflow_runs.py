"""Runs in the MLflow store, read again: their results, as they were logged."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from modelbench.results.reading import FILE
from modelbench.sinks.mlflow_store import Store, local_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_KEPT: list[TemporaryDirectory[str]] = []
TAGS = {"model", "test", "device", "precision", "status"}
PAGE = 500
"""Runs that a search returns at a time."""


class NotInStoreError(ValueError):
    """A run that the store does not know, or a store that cannot be reached."""


def store_exists() -> bool:
    """Return whether there is a store: a server that is named, or the local database."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or local_store().is_file()


def files_of_run(run_id: str) -> list[Path]:
    """Return the results of a job's run, or of all jobs of a sweep's, as files of this machine.

    Raises NotInStoreError.
    """
    store = _opened()
    from mlflow.exceptions import MlflowException

    try:
        run = store.client.get_run(run_id)
    except (MlflowException, OSError) as error:
        why = str(error).partition("\n")[0]
        raise NotInStoreError(f"run {run_id}: not in {store.uri} ({why})") from error
    runs = [run]
    if run.data.tags.get("kind") == "sweep":
        own = replace(store, experiment_id=run.info.experiment_id)
        query = f"tags.sweep_id = '{run.data.tags['sweep_id']}' and tags.kind = 'job'"
        runs = list(runs_of(own, query))
    found = [file for each in runs if (file := _downloaded(store.client, each.info.run_id))]
    if not found:
        raise NotInStoreError(f"run {run_id}: in {store.uri}, but without a {FILE}")
    return found


def latest_run(wanted: Mapping[str, str], back: int = 0) -> list[Path]:
    """Return the results of the latest job that has ended and fits, or of one so many before it.

    Raises NotInStoreError.
    """
    store = _opened()
    for run in runs_of(store, _query(wanted)):
        file = _downloaded(store.client, run.info.run_id)
        if file is not None and back == 0:
            return [file]
        back -= file is not None
    return []


def runs_of(store: Store, query: str) -> Iterator[Any]:
    """Yield the runs of the experiment that a query finds, the latest first."""
    token = None
    while True:
        found = store.client.search_runs(
            [store.experiment_id], query, max_results=PAGE, page_token=token,
            order_by=["attributes.start_time DESC"],
        )  # fmt: skip
        yield from found
        token = found.token
        if not token:
            return


def _opened() -> Store:
    if not store_exists():
        raise NotInStoreError(
            f"no MLflow store: MLFLOW_TRACKING_URI is not set, and there is no {local_store()}"
        )
    try:
        return Store.open(None, None)
    except Exception as error:  # whatever a server or database raises
        raise NotInStoreError(f"the MLflow store cannot be opened: {error}") from error


def _downloaded(client: MlflowClient, run_id: str) -> Path | None:
    """Return a run's results; None of a run that was killed before it had any."""
    from mlflow.exceptions import MlflowException

    folder = TemporaryDirectory(prefix="modelbench-")
    _KEPT.append(folder)  # removed when the process ends
    try:
        return Path(client.download_artifacts(run_id, FILE, folder.name))
    except (MlflowException, OSError):
        log.info("run %s has no results", run_id, exc_info=True)
        return None


def metric_of_runs(wanted: Mapping[str, str]) -> Iterator[Any]:
    """Yield the runs of jobs that have ended and fit, with their metrics, the latest first."""
    yield from runs_of(_opened(), _query(wanted))


def _query(wanted: Mapping[str, str]) -> str:
    parts = ["tags.kind = 'job'", "attributes.status != 'RUNNING'"]
    for key, value in wanted.items():
        if "'" in value or "`" in key:
            raise NotInStoreError(f"{key}={value}: MLflow looks for nothing with quotes in it")
        path = f"tags.{key}" if key in TAGS else f"params.`{key}`"
        parts.append(f"{path} = '{value}'")
    return " and ".join(parts)
