"""How long help and a configuration error take: python benchmarks/command_line.py.

Measured interleaved with `python -c "import hydra"`, the least that a Hydra program can take.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial

from report import report, seconds

COMMANDS = {
    "import hydra": ["-c", "import hydra"],
    "--help": ["-m", "modelbench", "--help"],
    "an error": ["-m", "modelbench", "image_size=abc"],
    "five errors": ["-m", "modelbench", "model=unet", "image_size=7", "imge_size=3", "seed=x",
                      "test.benchmark.min=1", "model.num_classes=x"],
}  # fmt: skip


def main() -> None:
    """Take turns, so that all see the same machine."""
    rows: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(15):
        for name, words in COMMANDS.items():
            command = [sys.executable, *words]
            rows[name] += seconds(partial(subprocess.run, command, capture_output=True), 1)
    medians = {name: statistics.median(samples) for name, samples in rows.items()}
    base = medians.pop("import hydra")
    goals = {f"{name}, times import hydra": (value / base, 3.0) for name, value in medians.items()}
    sys.exit(not report("command line", rows, goals))


if __name__ == "__main__":
    main()
