"""Shapes, parameters, sizes, and exact MACs beside torchinfo's figures."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch
from modelbench.inputs.tensors import named_tensors
from modelbench.measurement.compute.counting import Counted, count
from modelbench.measurement.compute.flops import Macs
from modelbench.measurement.compute.layers import write_table
from modelbench.measurement.compute.torchinfo_figures import Figures, difference
from modelbench.measurement.memory.saving import saved_bytes
from modelbench.precision.convert import convert
from modelbench.results import Report, Skip
from modelbench.stages.part import part
from modelbench.stages.stage import Context
from modelbench.stages.structure.experts import idle_params
from modelbench.system.file_name import file_name

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

MIB = 2**20
QUICK_S = 0.5
"""Seconds of a first call that is made some more times to count it."""


def figures(workload: Workload, context: Context) -> Report:
    """Return the metrics of the whole and of each part, and write the layer tables."""
    report = Report()
    context.say("building the model")
    model = workload.build()
    batch = workload.batch()
    context.say("running the forward pass")
    fake = workload.fake is not None
    start = perf_counter()
    with part(report, "forward", workload):
        _forward(report, model, batch, fake=fake)
    here = fake or perf_counter() - start < QUICK_S
    runs = report.failure is None
    report.notes += workload.notes()
    if fake:
        report.notes.append("built with fake tensors: no values to check, and no file to measure")
    context.say("counting MACs, running torchinfo")
    found = count(model, batch, here=here) if runs else {"": Counted(batch)}
    for path, counted in found.items():
        within, module = (f"{path}/", model.get_submodule(path)) if path else ("", model)
        _sizes(report, within, module)
        _inputs(report, within, counted.batch)
        if not fake:
            with part(report, f"{within}saved_mib", workload):
                saved = saved_bytes(module.state_dict())
                report.metric(f"{within}saved_mib", saved / MIB, "MiB")
        _counted(report, path, counted, context.directory)
        _experts(report, path, module, counted)
    if workload.scheme is not None and not fake:
        context.say("converting it to its precision")
        with part(report, "the precision", workload):
            _converted(report, workload, context)
    return report


def _converted(report: Report, workload: Workload, context: Context) -> None:
    """Add the size of the file in the precision asked for."""
    try:
        converted = convert(workload)
    except Skip as skip:
        report.notes.append(f"shipped_mib skipped: {skip}")
        return
    context.scratch.mkdir(exist_ok=True)
    file = context.scratch / f"converted{converted.suffix}"
    converted.save(converted.model, file)
    report.metric("shipped_mib", file.stat().st_size / MIB, "MiB")
    report.notes.append("counted as built, in single precision; shipped_mib as converted")
    report.notes += [f"the precision {note}" for note in converted.notes]


def _forward(report: Report, model: nn.Module, batch: Batch, *, fake: bool) -> None:
    """Note shapes, types and finiteness of what goes in and comes out."""
    with torch.inference_mode():
        outputs = named_tensors(batch.call(model))
    if not outputs:
        raise TypeError(f"{type(model).__name__} returned no tensor; expected at least one")
    finite: dict[str, bool] = {}
    if not fake:
        finite = {name: bool(torch.isfinite(tensor).all()) for name, tensor in outputs.items()}
    report.details |= {
        "class": type(model).__name__,
        "input_shapes": _shapes(batch.named()),
        "output_shapes": _shapes(outputs),
        "output_dtypes": {name: _dtype(tensor) for name, tensor in outputs.items()},
        "output_finite": finite,
    }
    report.notes.append(f"{_told(batch.named())} -> {type(model).__name__} -> {_told(outputs)}")
    if not all(finite.values()):
        names = ", ".join(name for name, good in finite.items() if not good)
        report.warnings.append(f"output {names} holds NaN or infinity")


def _sizes(report: Report, within: str, model: nn.Module) -> None:
    """Count parameters and the bytes in memory."""
    parameters = list(model.parameters())  # a tied parameter comes once
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    size = sum(t.numel() * t.element_size() for t in [*parameters, *model.buffers()])
    report.metric(f"{within}params", sum(p.numel() for p in parameters), "count")
    report.metric(f"{within}trainable_params", trainable, "count")
    report.metric(f"{within}size_mib", size / MIB, "MiB")


def _inputs(report: Report, within: str, batch: Batch) -> None:
    size = sum(t.numel() * t.element_size() for t in batch.named().values())
    report.metric(f"{within}input_mb", size / 1e6, "MB")


def _counted(report: Report, path: str, counted: Counted, directory: Path) -> None:
    """Add MACs and torchinfo's figures of the whole or a part, and write their tables."""
    within, named = (f"{path}/", f"{path}: ") if path else ("", "")
    macs, layers, found = counted.macs, counted.layers, counted.torchinfo
    for failed in counted.failed:
        report.fail(f"{named}{failed}")
    report.notes += [f"{named}{note}" for note in counted.notes]
    if macs is not None:
        _macs(report, path, macs)
    if layers is not None:
        table = f"layers-{file_name(path)}.csv" if path else "layers.csv"
        write_table(layers, macs.by_module if macs else {}, directory / table)
        report.artifacts.append(table)
    if isinstance(found, str):
        report.notes.append(f"{named}torchinfo cannot summarise this model: {found}")
    if not isinstance(found, Figures):
        return
    report.metric(f"{within}torchinfo_mult_adds_g", found.mult_adds / 1e9, "G")
    report.metric(f"{within}forward_backward_mb", found.forward_backward_mb, "MB")
    report.metric(f"{within}params_mb", found.params_mb, "MB")
    total = report.metrics[f"{within}input_mb"].value + found.forward_backward_mb + found.params_mb
    report.metric(f"{within}total_mb", total, "MB")
    summary = f"torchinfo-{file_name(path)}.txt" if path else "torchinfo.txt"
    (directory / summary).write_text(found.table + "\n", encoding="utf-8")
    report.artifacts.append(summary)
    if macs is not None and layers is not None:
        report.notes.append(named + difference(found, macs, layers))


def _macs(report: Report, path: str, macs: Macs) -> None:
    """Add the MACs, and what they leave out."""
    within, named = (f"{path}/", f"{path}: ") if path else ("", "")
    report.metric(f"{within}macs_g", macs.total / 1e9, "GMACs")
    report.metric(f"{within}uncounted_ops", len(macs.uncounted), "count")
    if macs.uncounted:
        report.details[f"{within}uncounted_ops"] = dict(macs.uncounted)
        report.warnings.append(
            f"{named}the MACs exclude {', '.join(macs.uncounted)}: no formula is known for them"
        )


def _experts(report: Report, path: str, model: nn.Module, counted: Counted) -> None:
    """Add the active parameters of a mixture of experts."""
    if counted.macs is None or counted.layers is None:
        return
    idle = idle_params(model, counted.layers, counted.macs.by_module)
    if idle:
        within = f"{path}/" if path else ""
        params = round(report.metrics[f"{within}params"].value)
        report.metric(f"{within}active_params", params - idle, "count")
        report.notes.append(
            f"{path or 'experts'}: a token uses {params - idle:,} of {params:,} parameters"
        )


def _shapes(tensors: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def _told(tensors: dict[str, Tensor]) -> str:
    """Write tensors as a person would: 'images [1, 3, 32, 32] float32'."""
    words = (f"{name} {list(t.shape)} {_dtype(t)}" for name, t in tensors.items())
    return ", ".join(word.removeprefix("0 ") for word in words)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
