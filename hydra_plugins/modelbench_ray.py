"""The launcher `ray`: a job for each GPU, or for each machine, of a Ray cluster.

Hydra's own plugin asks for a cloudpickle before 3, which others do not work with. Hydra runs this
file before it is a module that can be looked up, so the dataclass' annotations must not be strings.
"""

import io
import socket
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

ANSWER_S = 5.0
"""How long a cluster may take to answer."""


@dataclass
class RayConf:
    """The launcher's keys in a YAML."""

    _target_: str = "hydra_plugins.modelbench_ray.Ray"
    address: str | None = None
    num_gpus: float = 0
    num_cpus: float | None = None


ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayConf)


class Ray(Launcher):
    """Sends each job to the cluster; what it wrote comes back where the folder is not shared."""

    def __init__(self, address: str | None, num_gpus: float, num_cpus: float | None) -> None:
        self.address = address
        """Of a cluster; None starts one on this machine."""
        self.num_gpus = num_gpus
        """For each job."""
        self.num_cpus = num_cpus
        """Likewise; None is all that a machine has, by which jobs have it to themselves."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what a job is made of."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs, and wait for all of them."""
        setup_globals()
        ray = self._started()
        cpus = self.num_cpus
        if cpus is None:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            each = (
                n.get("CPU", 1) / max(1, n.get("GPU", 0) if self.num_gpus else 1) for n in nodes
            )
            cpus = min(each)
        remote = ray.remote(num_cpus=cpus, num_gpus=self.num_gpus, max_retries=0)(_run)
        sent = [
            remote.remote(self._context, self._job(overrides, number), self._task,
                          Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]  # fmt: skip
        return [_received(ray, job) for job in sent]

    def _started(self) -> Any:
        """Return Ray, connected; ends the program with a message where there is none."""
        try:
            import ray

            _reach(self.address)
            # Its own log lines would stand between ours.
            ray.init(self.address, logging_level="ERROR", include_dashboard=False,
                     ignore_reinit_error=True)  # fmt: skip
        except ModuleNotFoundError:
            why = 'needs Ray, which is not installed: pip install -e ".[ray]"'
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            why = (
                f"no Ray cluster at hydra.launcher.address={self.address} "
                f"({str(error).partition(chr(10))[0]}); start one with 'ray start --head', or "
                "leave the address out"
            )
        else:
            return ray
        from modelbench.sinks.console import refuse

        refuse([f"hydra/launcher=ray: {why}"])
        raise SystemExit(1)

    def _job(self, overrides: Sequence[str], number: int) -> DictConfig:
        job = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(job):
            job.hydra.job.id, job.hydra.job.num = f"{number}", number
            # Where it runs the current folder may be another.
            job.hydra.sweep.dir = str(Path(job.hydra.sweep.dir).absolute())
        return job


def _reach(address: str | None) -> None:
    """Raise OSError unless something listens at HOST:PORT: Ray itself would wait for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()


def _run(
    context: HydraContext, config: DictConfig, task: TaskFunction, state: Any
) -> tuple[JobReturn, bytes | None]:
    """Run a job on the cluster; return what it wrote, too, where the folder is not shared."""
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    shared = (Path(config.hydra.sweep.dir) / "sweep.json").is_file()
    ended = run_job(
        hydra_context=context, task_function=task, config=config, job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip
    if shared:
        return ended, None
    content = io.BytesIO()
    folder = Path(config.hydra.sweep.dir)
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder / config.hydra.sweep.subdir, arcname=config.hydra.sweep.subdir)
    return ended, content.getvalue()


def _received(ray: Any, job: Any) -> JobReturn:
    """Wait for a job; one whose process or machine died is a failed job, as its results tell."""
    from hydra.core.utils import JobStatus

    try:
        ended, content = ray.get(job)
    except ray.exceptions.RayError as error:
        ended = JobReturn(status=JobStatus.FAILED)
        ended.return_value = error
        return ended
    if content is not None:
        folder = Path(HydraConfig.get().sweep.dir)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
    return ended  # type: ignore[no-any-return]
