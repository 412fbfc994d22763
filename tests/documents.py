"""Documents as jobs write them, made up where the truth shall be known."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelbench.measurement.timing.between import between
from modelbench.measurement.timing.record import ASSUMED, Known

ENVIRONMENT = {
    "cpu": "CPU", "cpu_cores": 2, "cpu_threads": 2, "ram_gib": 16.0, "hostname": "here",
    "torch_threads": 2, "versions": {"torch": "2.13.0"}, "git_commit": "a" * 40,
}  # fmt: skip


def document(
    processes: Sequence[Sequence[float]] = (),
    known: Known = ASSUMED,
    control: Sequence[float] | None = None,
    **metrics: float,
) -> dict[str, Any]:
    """Return a job whose phase `forward` has these samples (ms), process by process.

    `control` are each process's milliseconds of the control that the phase follows; `metrics` are
    those of `structure`, as counts.
    """
    stages: dict[str, Any] = {}
    if metrics:
        stages["structure"] = stage(
            {f"structure/{name}": (value, "count") for name, value in metrics.items()},
            output_shapes={"0": [1, 10]},
        )
    if processes:
        stages["benchmark"] = _benchmark(processes, known, control)
    return {
        "schema": 1, "status": "passed", "reason": None, "name": "toy-benchmark-8-fp32",
        "sweep_id": None, "number": None, "model": "toy", "test": "benchmark", "device": "cpu",
        "precision": "fp32", "axes": {"batch_size": 1, "image_size": 8}, "seed": 0,
        "command": "python -m modelbench model=toy", "environment": copy.deepcopy(ENVIRONMENT),
        "config": {"data": {}, "test": {"benchmark": {"budget_s": 5.0, "timeout_s": 9.0}},
                   "model": {"name": "toy"}},
        "stages": stages,
    }  # fmt: skip


def stage(metrics: dict[str, tuple[float, str]], **details: Any) -> dict[str, Any]:
    """Return a stage that passed, with metrics of a value and a unit."""
    return {
        "status": "passed", "seconds": 1.0, "reason": None, "series": {}, "curves": {},
        "metrics": {name: {"value": v, "unit": unit} for name, (v, unit) in metrics.items()},
        "details": details, "warnings": [], "artifacts": [],
    }  # fmt: skip


def _benchmark(
    processes: Sequence[Sequence[float]], known: Known, control: Sequence[float] | None
) -> dict[str, Any]:
    found = between(processes, known)
    path = "benchmark/forward"
    metrics = {f"{path}/p50_ms": (found.median, "ms"), "benchmark/load_s": (0.1, "s")}
    metrics[f"{path}/items_per_s"] = 1e3 / found.median, "1/s"
    if found.interval is not None:
        metrics |= _ends(f"{path}/ci95", found.interval, "_ms")
    details: dict[str, Any] = {
        "interval_rests_on": known.told, "follows": None, "quiet": True,
        "processes": [
            {"samples": len(samples), "p50_ms": float(np.median(samples))} for samples in processes
        ],
    }  # fmt: skip
    if control is not None:
        units = [[ms / own for ms in p] for p, own in zip(processes, control, strict=True)]
        ratio = between(units, known)
        assert ratio.interval is not None
        metrics[f"{path}/control_ratio"] = ratio.median, "times"
        metrics |= _ends(f"{path}/control_ratio_ci", ratio.interval, "")
        details["follows"] = "compute"
    made = stage(metrics, forward=details)
    made["series"][f"{path}/samples_ms"] = [ms for samples in processes for ms in samples]
    return made


def _ends(name: str, ends: tuple[float, float], unit: str) -> dict[str, tuple[float, str]]:
    return {f"{name}_low{unit}": (ends[0], "ms"), f"{name}_high{unit}": (ends[1], "ms")}


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write a job's folder; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
