"""A training step: its parts, its layers forward and backward, its memory over time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelbench.inputs.batch import Batch
from modelbench.measurement.profiling.training_step import (
    ELSEWHERE,
    PARTS,
    Step,
    StepRecording,
    StepTimes,
    record_step,
    time_steps,
)
from modelbench.measurement.training.training import Trainer
from modelbench.precision.convert import training_dtype
from modelbench.results import Report, Table
from modelbench.results.canvas import STYLES, panels, saved
from modelbench.stages.part import part

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.stages.profile.session import Limits
    from modelbench.stages.stage import Context

MIB = 2**20
LABELS = 6
"""Modules that the memory's plot names."""


def add_training(
    report: Report,
    workload: Workload,
    context: Context,
    optimizer: Mapping[str, Any],
    limits: Limits,
) -> None:
    """Add a step's figures; raises Skip where nothing can be trained."""
    dtype = training_dtype(workload)
    context.say("building the model in training")
    trainer = Trainer(workload, optimizer, lambda _: workload.batch(), dtype)
    step = Step(workload, trainer, dtype, partial(_batch, workload))
    context.say("timing training steps")
    times = time_steps(step, context.device, limits.budget_s)
    parts = {name: times.part(name) for name in PARTS}
    for name, found in parts.items():
        report.metric(f"training/{name}_ms", found.median, "ms")
    whole = float(np.median(times.plain_ms))
    report.metric("training/step_ms", whole, "ms")
    report.metric("training/accounted", times.accounted, "share")
    details: dict[str, Any] = {
        "parts": {
            name: {"ms": found.median, "interval": found.interval} for name, found in parts.items()
        }
    }
    report.details["training"] = details
    report.tables.append(_parts_table(times))
    context.say("recording a training step")
    with part(report, "training, by layer", workload):
        file = "trace-training.json.gz"
        recorded = record_step(step, trainer.model, context.device, context.directory / file)
        report.artifacts.append(file)
        kinds = {path: type(m).__name__ for path, m in trainer.model.named_modules()}
        rows = _layers(recorded, kinds, parts["forward"].median, parts["backward"].median)
        details["layers"] = rows
        report.tables.append(_layers_table(rows, whole, limits.rows))
        if recorded.memory:
            peak = max(size for _, size, _ in recorded.memory) - recorded.memory[0][1]
            report.metric("training/step_peak_mib", peak / MIB, "MiB")
            title = f"{workload.name}: memory in a training step"
            report.artifacts += draw_memory(recorded, title, context.directory)


def _batch(workload: Workload) -> Batch:
    """Make a step's batch: of the labelled data, where there are some, else of the sources."""
    if workload.data is not None:
        return next(workload.labelled(test=False))
    return workload.batch()


def _layers(
    found: StepRecording, kinds: Mapping[str, str], forward_ms: float, backward_ms: float
) -> list[dict[str, Any]]:
    """Return the layers' milliseconds forward and backward, scaled to the parts as timed."""
    ahead = forward_ms / (sum(found.forward.values()) or 1.0)
    back = backward_ms / (sum(found.backward.values()) or 1.0)
    grown = _grown(found)
    rows = [
        {
            "path": path, "class": kinds.get(path, ""),
            "forward_ms": found.forward.get(path, 0.0) * ahead,
            "backward_ms": found.backward.get(path, 0.0) * back,
            "kept_mib": grown.get(path, 0) / MIB,
        }
        for path in {**found.forward, **found.backward}
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -(row["forward_ms"] + row["backward_ms"]))


def _grown(found: StepRecording) -> dict[str, int]:
    """Return by how much memory grew in the forward pass while each module itself ran."""
    grown: dict[str, int] = {}
    start, end = found.parts.get("forward", (0.0, 0.0))
    last = None
    for at, size, path in found.memory:
        if last is not None and start <= at <= end:
            grown[path] = grown.get(path, 0) + size - last
        last = size
    return grown


def _parts_table(times: StepTimes) -> Table:
    columns = [("part", "text"), ("time", "ms"), ("95% from", "ms"), ("to", "ms"),
               ("share", "share")]  # fmt: skip
    whole = sum(times.part(name).median for name in PARTS)
    rows: list[list[str | float | None]] = []
    for name in PARTS:
        found = times.part(name)
        low, high = found.interval or (None, None)
        rows.append([name, found.median, low, high, found.median / whole])
    return Table("training step: time by part", columns, rows)


def _layers_table(rows: list[dict[str, Any]], whole_ms: float, most: int) -> Table:
    columns = [("layer", "text"), ("class", "text"), ("forward", "ms"), ("backward", "ms"),
               ("share of the step", "share"), ("memory kept", "MiB")]  # fmt: skip
    return Table("training step: time by layer", columns, [
        [row["path"] or "(model)", row["class"], row["forward_ms"], row["backward_ms"],
         (row["forward_ms"] + row["backward_ms"]) / whole_ms, row["kept_mib"]]
        for row in rows[:most]
    ])  # fmt: skip


def draw_memory(found: StepRecording, title: str, directory: Path) -> list[str]:
    """Draw the memory over the step, with its parts and the layers in which it grows most."""
    figure, (panel,) = panels()
    figure.set_size_inches(10, 5)
    at = [point[0] / 1e3 for point in found.memory]
    first = found.memory[0][1]
    size = [(point[1] - first) / MIB for point in found.memory]
    for (name, (start, end)), (colour, _, _) in zip(found.parts.items(), STYLES, strict=False):
        panel.axvspan(start / 1e3, end / 1e3, color=colour, alpha=0.12, linewidth=0, label=name)
    panel.plot(at, size, color="black", linewidth=1, drawstyle="steps-post", rasterized=True)
    grown = sorted(_grown(found).items(), key=lambda item: -item[1])[:LABELS]
    for place, (path, more) in enumerate(g for g in grown if g[0] != ELSEWHERE and g[1] > 0):
        where = next(i for i, point in enumerate(found.memory) if point[2] == path)
        panel.annotate(
            f"{path or '(model)'} +{more / MIB:,.3g} MiB", (at[where], size[where]),
            xytext=(8, -14 - 13 * place), textcoords="offset points", fontsize="small",
            arrowprops={"arrowstyle": "-", "color": "0.5"},
        )  # fmt: skip
    panel.set(
        xlabel="ms, under the profiler", ylabel="MiB beyond the step's beginning", title=title
    )
    panel.legend(loc="upper right", fontsize="small")
    return saved(figure, directory, "plots/training_memory")
