"""What the structure of the whole Stable Diffusion costs: python benchmarks/stable_diffusion.py.

Weights included: 4 GiB are built and run forward once. The stage, and the peak of its worker.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from report import report, run_stage

TIMES = 2


def main() -> None:
    """Run the stage a few times."""
    words = ["model=stable_diffusion", "test=structure"]
    with tempfile.TemporaryDirectory() as folder:
        stages = [run_stage(words, Path(folder)) for _ in range(TIMES)]
    taken = [stage["seconds"] for stage in stages]
    peak = max(stage["details"]["worker_peak_mib"] for stage in stages)
    goals = {"the stage, s": (max(taken), 60.0), "worker's peak, MiB": (peak, 8e9 / 2**20)}
    sys.exit(not report("stable diffusion", {"the stage": taken}, goals))


if __name__ == "__main__":
    main()
