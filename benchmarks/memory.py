"""Peaks of memory against what is known: python benchmarks/memory.py.

A tensor of 512 MiB as the memory stage measures it, and for three models the training step as it
is estimated and as it is measured.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from report import run_stage, table

from modelbench.measurement.isolated import Send, isolated
from modelbench.measurement.memory.meter import Meter

KNOWN = 512 * 2**20
CPU = torch.device("cpu")
MODELS = ("unet", "gpt2", "clip")


def allocate(send: Send) -> None:
    """Hold the known size for a moment."""
    meter = Meter(CPU)
    torch.ones(KNOWN, dtype=torch.uint8)
    send(meter.peak())


def main() -> None:
    """Run all of it."""
    rows = []
    for number in range(5):
        (found,) = isolated(partial(allocate), CPU)
        rows.append(_row(f"512 MiB, {number + 1}", KNOWN / 2**20, found / 2**20, 0.02))
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            metrics = run_stage([f"model={model}", "test=memory"], Path(folder))["metrics"]
            told, measured = (
                metrics[f"memory/{name}_peak_mib"]["value"]
                for name in ("predicted_training", "training")
            )
            rows.append(_row(f"{model}, training step", told, measured, 0.15))
    table("memory", ("what", "expected MiB", "measured MiB", "differs by", "goal", ""), rows)
    sys.exit(any(row[-1] == "MISSED" for row in rows))


def _row(what: str, told: float, found: float, goal: float) -> tuple[str, ...]:
    by = found / told - 1
    held = "met" if abs(by) <= goal else "MISSED"
    return what, f"{told:,.1f}", f"{found:,.1f}", f"{by:+.1%}", f"{goal:.0%}", held


if __name__ == "__main__":
    main()
