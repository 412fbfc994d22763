"""How long until an isolated worker is ready: python benchmarks/worker_start.py.

The first worker waits for the fork server to import torch, the others are forked from it, as in a
sweep. Beside them, what spawning costs: a new interpreter that imports the same.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from hydra import compose, initialize_config_dir
from report import report, seconds

from modelbench import config as schema
from modelbench.mistakes import check
from modelbench.worker import Order, Worker, start_server


def main() -> None:
    """Start workers one after the other."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        config = check(compose("config", ["model=unet"]), [schema.CONF]).plain
    with tempfile.TemporaryDirectory() as folder:
        order = Order(config, schema.axes(config), Path(folder), "")

        def ready() -> None:
            worker = Worker(order)
            workers.append(worker)
            assert not worker.hello().mistakes

        workers: list[Worker] = []
        start_server([config["model"]["build"]["_target_"]])
        first = seconds(ready, 1)
        others = seconds(ready, 20)
        for worker in workers:
            worker.kill()
    spawn = [sys.executable, "-c", "import modelbench.preload"]
    spawned = seconds(lambda: subprocess.run(spawn, check=True), 3)
    rows = {"first worker": first, "each later worker": others, "spawned, for comparison": spawned}
    slowest = statistics.quantiles(others, n=10)[-1]
    goals = {"later workers, 9 in 10 within": (slowest, 0.3)}
    sys.exit(not report("worker start", rows, goals))


if __name__ == "__main__":
    main()
