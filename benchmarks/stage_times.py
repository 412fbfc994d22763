"""How long the stages that look for trouble take: python benchmarks/stage_times.py.

Algorithm, dynamic and memory with their defaults, each by its own command.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from report import report, run_stage

GOAL_S = 120.0
STAGES = ("algorithm", "dynamic", "memory")
MODELS = ("cnn", "unet", "gpt2", "clip")


def main() -> None:
    """Run every stage on every model once."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            for stage in STAGES:
                found = run_stage([f"model={model}", f"test={stage}"], Path(folder))
                rows[f"{model}, {stage}"] = [float(found["seconds"])]
    longest = max(max(samples) for samples in rows.values())
    sys.exit(not report("stage times", rows, {"longest, s": (longest, GOAL_S)}))


if __name__ == "__main__":
    main()
