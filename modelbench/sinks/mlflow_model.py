"""The model of a job as MLflow's LoggedModel, by which its own leaderboard ranks models."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from modelbench.results import Job, JobStatus
from modelbench.sinks.mlflow_store import Store
from modelbench.system.file_name import file_name

log = logging.getLogger(__name__)


def log_model(store: Store, job: Job, run_id: str) -> str | None:
    """Record the model and the data it is judged on; return its id.

    None where the server is older than such models: the run has all of it, too.
    """
    try:
        model = store.client.create_logged_model(
            store.experiment_id,
            name=file_name(f"{job.model}-{job.precision}").replace(".", "_"),
            source_run_id=run_id,
            params={"precision": job.precision, "device": job.device, **_text(job.axes)},
            model_type="torch.nn.Module",
        )
        if job.config["data"].get("_target_"):
            store.client.log_inputs(run_id, [_dataset(job.config["data"])])
    except Exception:  # whatever an older server answers
        log.info("no LoggedModel here", exc_info=True)
        return None
    return str(model.model_id)


def finish_model(store: Store, model_id: str, status: JobStatus) -> None:
    """Say that the model has all its metrics."""
    store.client.finalize_logged_model(model_id, "READY" if status == "passed" else "FAILED")


def _text(values: Any) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


def _dataset(data: Any) -> Any:
    from mlflow.entities import Dataset, DatasetInput

    source = json.dumps(dict(data), sort_keys=True, default=str)
    name = str(data.get("folder") or data.get("file") or data["_target_"])
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    return DatasetInput(Dataset(name[-200:], digest, "local", source), [])
