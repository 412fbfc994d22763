"""What isolation costs: python benchmarks/isolation.py.

First how long until a worker is ready: the first one waits for the fork server to import torch,
the others are forked from it, as in a sweep; spawning a new interpreter stands beside. Then a sweep
over image sizes, the structure of a U-Net, each job with a worker and without.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelbench.execution.protocol import JobSpec

# Every worker imports this file again, as it does modelbench's own light one: hence the imports
# inside the functions.

SIZES = range(32, 272, 16)
HOW = "isolated", "in one process"


def main() -> None:
    """Start workers one after the other, then run jobs interleaved."""
    from hydra import compose, initialize_config_dir
    from report import report

    from modelbench.config import schema
    from modelbench.config.preloads import ahead
    from modelbench.config.validate import check
    from modelbench.execution.protocol import JobSpec
    from modelbench.execution.worker import start_server

    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        composed = compose("config", ["model=unet", "test=structure"])
    config = check(composed, [schema.CONF]).plain
    start_server(ahead(config))
    with tempfile.TemporaryDirectory() as folder:
        rows = _workers(JobSpec(config, schema.axes(config), Path(folder), ""))
        rows |= _jobs(config, Path(folder))
    slowest = statistics.quantiles(rows["each later worker"], n=10)[-1]
    pairs = zip(*(rows[f"a job, {how}"] for how in HOW), strict=True)
    cost = statistics.median(isolated - inline for isolated, inline in pairs)
    goals = {
        "later workers, 9 in 10 within": (slowest, 0.3),
        "isolation of a job, median": (cost, 0.3),
    }
    sys.exit(not report("isolation", rows, goals))


def _workers(spec: JobSpec) -> dict[str, list[float]]:
    from report import seconds

    from modelbench.execution.worker import Worker

    workers: list[Worker] = []

    def ready() -> None:
        worker = Worker(spec)
        workers.append(worker)
        assert not worker.ready().errors

    first = seconds(ready, 1)
    others = seconds(ready, 20)
    for worker in workers:
        worker.kill()
    spawn = [sys.executable, "-c", "import modelbench.execution.preload"]
    spawned = seconds(lambda: subprocess.run(spawn, check=True), 3)
    return {"first worker": first, "each later worker": others, "spawned, for comparison": spawned}


def _jobs(config: dict[str, Any], folder: Path) -> dict[str, list[float]]:
    """Run a sweep over image sizes, each job twice, from its workload to its report."""
    import torch
    from hydra.utils import instantiate
    from report import seconds

    from modelbench.config import schema
    from modelbench.execution import runner
    from modelbench.models.workload import Workload
    from modelbench.results import Job
    from modelbench.stages.stage import Context

    device = torch.device("cpu")
    context = Context(device, config["precision"], folder, folder, lambda _: None)
    rows: dict[str, list[float]] = {f"a job, {how}": [] for how in HOW}
    for size in SIZES:
        sized = {**config, "image_size": size}
        axes = schema.axes(sized)
        job = Job("unet", "unet", "structure", "cpu", "fp32", axes, 0, sized, "", folder)

        def isolated() -> None:
            assert runner.run(job, []).status == "passed"  # noqa: B023  (called in this turn)

        def inline() -> None:
            for settings in schema.stages(config).values():
                stage = instantiate(settings, _convert_="all")
                stage(Workload.of(config, axes, device), context)  # noqa: B023

        for how, act in zip(rows, (isolated, inline), strict=True):
            rows[how] += seconds(act, 1)
    return rows


if __name__ == "__main__":
    main()
