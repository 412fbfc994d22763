"""What the model is: shapes, parameters, sizes, and exact MACs beside torchinfo's figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from modelbench.results import Report
from modelbench.stages.stage import Context, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

    from modelbench.batch import Batch
    from modelbench.measure.counting import Counted
    from modelbench.workload import Workload

MIB = 2**20
QUICK_S = 0.5
"""Seconds of a first call that is made some more times to count it."""


@dataclass(frozen=True)
class Structure(Stage):
    """Runs the model forward once and counts what it consists of."""

    needs_numbers = False

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Give the metrics of the whole and of each part, and write the layer tables."""
        from modelbench.measure.counting import count

        report = Report()
        context.say("building the model")
        model = workload.build()
        batch = workload.batch()
        context.say("running it forward")
        fake = workload.fake is not None
        start = perf_counter()
        _forward(report, model, batch, fake=fake)
        here = fake or perf_counter() - start < QUICK_S
        report.notes += workload.notes()
        if fake:
            report.notes.append("built without memory: no numbers, and no file to measure")
        context.say("counting MACs, asking torchinfo")
        for path, counted in count(model, batch, here=here).items():
            _sizes(report, path, model.get_submodule(path), fake=fake)
            _counted(report, path, counted, context.directory)
        if workload.scheme is not None and not fake:
            context.say("bringing it into its precision")
            _shipped(report, workload, context)
        return report


def _shipped(report: Report, workload: Workload, context: Context) -> None:
    """Add the size of the file in the precision asked for."""
    shipped = workload.ship()
    context.scratch.mkdir(exist_ok=True)
    file = context.scratch / f"shipped{shipped.suffix}"
    shipped.save(shipped.model, file)
    report.metric("shipped_mib", file.stat().st_size / MIB, "MiB")
    report.notes.append("counted as built, in single precision; shipped_mib is the precision's")
    report.notes += [f"the precision {note}" for note in shipped.notes]


def _forward(report: Report, model: nn.Module, batch: Batch, *, fake: bool) -> None:
    """Note shapes, types and finiteness of what goes in and comes out."""
    import torch

    from modelbench.tensors import named_tensors

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


def _sizes(report: Report, path: str, model: nn.Module, *, fake: bool) -> None:
    """Count parameters and bytes, in memory and as saved."""
    from modelbench.measure.saving import saved_bytes

    parameters = list(model.parameters())  # a tied parameter comes once
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    size = sum(t.numel() * t.element_size() for t in [*parameters, *model.buffers()])
    within = f"{path}/" if path else ""
    report.metric(f"{within}params", sum(p.numel() for p in parameters), "count")
    report.metric(f"{within}trainable_params", trainable, "count")
    report.metric(f"{within}size_mib", size / MIB, "MiB")
    if not fake:
        report.metric(f"{within}saved_mib", saved_bytes(model.state_dict()) / MIB, "MiB")


def _counted(report: Report, path: str, counted: Counted, directory: Path) -> None:
    """Add MACs and torchinfo's figures of the whole or a part, and write their tables."""
    from modelbench.measure.layers import write_table
    from modelbench.measure.torchinfo_figures import difference

    within, named = (f"{path}/", f"{path}: ") if path else ("", "")
    macs, found = counted.macs, counted.torchinfo
    report.metric(f"{within}macs_g", macs.total / 1e9, "GMACs")
    report.metric(f"{within}uncounted_ops", len(macs.uncounted), "count")
    if macs.uncounted:
        report.details[f"{within}uncounted_ops"] = dict(macs.uncounted)
        report.warnings.append(
            f"{named}the MACs leave out {', '.join(macs.uncounted)}: no formula is known for them"
        )
    table = f"layers-{path}.csv" if path else "layers.csv"
    write_table(counted.layers, macs.by_module, directory / table)
    report.artifacts.append(table)
    if isinstance(found, str):
        report.warnings.append(f"{named}torchinfo cannot summarise this model: {found}")
        return
    report.metric(f"{within}torchinfo_mult_adds_g", found.mult_adds / 1e9, "G")
    report.metric(f"{within}input_mb", found.input_mb, "MB")
    report.metric(f"{within}forward_backward_mb", found.forward_backward_mb, "MB")
    report.metric(f"{within}params_mb", found.params_mb, "MB")
    report.metric(f"{within}total_mb", found.total_mb, "MB")
    summary = f"torchinfo-{path}.txt" if path else "torchinfo.txt"
    (directory / summary).write_text(found.table + "\n", encoding="utf-8")
    report.artifacts.append(summary)
    report.notes.append(named + difference(found, macs, counted.layers))


def _shapes(tensors: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def _told(tensors: dict[str, Tensor]) -> str:
    """Write tensors as a person would: 'images [1, 3, 32, 32] float32'."""
    words = (f"{name} {list(t.shape)} {_dtype(t)}" for name, t in tensors.items())
    return ", ".join(word.removeprefix("0 ") for word in words)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
