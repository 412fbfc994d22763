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
from typing import Any, NoReturn

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
        if self.num_gpus > ray.cluster_resources().get("GPU", 0):
            self._refuse(f"hydra.launcher.num_gpus={self.num_gpus}: the cluster has fewer")
        cpus = self.num_cpus
        if cpus is None:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            each = (
                n.get("CPU", 1) / max(1, n.get("GPU", 0) if self.num_gpus else 1) for n in nodes
            )
            cpus = min(each)
        remote = ray.remote(num_cpus=cpus, num_gpus=self.num_gpus, max_retries=0)(_run)
        folder = Path(self._config.hydra.sweep.dir).absolute()
        sent = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            job = self._job(overrides, number)
            file = folder / str(job.hydra.sweep.subdir) / "results.json"
            # What it had found, for a job that goes on where the folder is not shared.
            before = file.read_bytes() if file.is_file() else None
            state = Singleton.get_state()
            sent.append(remote.remote(self._context, job, self._task, state, before))
        return [_received(ray, job, folder) for job in sent]

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
        return self._refuse(why)

    def _refuse(self, why: str) -> NoReturn:
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
    context: HydraContext, config: DictConfig, task: TaskFunction, state: Any, before: bytes | None
) -> tuple[JobReturn, bytes | None]:
    """Run a job on the cluster; return what it wrote, too, where the folder is not shared."""
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    folder, subdir = Path(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)
    shared = (folder / "sweep.json").is_file()
    if before is not None and not shared:
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        (folder / subdir / "results.json").write_bytes(before)
    ended = run_job(
        hydra_context=context, task_function=task, config=config, job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip
    if shared:
        return ended, None
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder / subdir, arcname=subdir)
    return ended, content.getvalue()


def _received(ray: Any, job: Any, folder: Path) -> JobReturn:
    """Wait for a job; one whose process or machine died is a failed job, as its results tell."""
    from hydra.core.utils import JobStatus

    try:
        ended, content = ray.get(job)
    except ray.exceptions.RayError as error:
        ended = JobReturn(status=JobStatus.FAILED)
        ended.return_value = error
        return ended
    if content is not None:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
    return ended  # type: ignore[no-any-return]
