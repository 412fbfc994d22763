"""What the model is: shapes, parameters, sizes, and exact MACs beside torchinfo's figures."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelbench.results import Report
from modelbench.stages.stage import Context, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

    from modelbench.batch import Batch
    from modelbench.measure.torchinfo_figures import Figures
    from modelbench.workload import Workload

MIB = 2**20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Structure(Stage):
    """Runs the model forward once and counts what it consists of."""

    needs_numbers = False

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Give the metrics of the structure and write the layer table."""
        from modelbench.measure.flops import count_macs
        from modelbench.measure.layers import trace_layers, write_table
        from modelbench.measure.torchinfo_figures import difference, torchinfo_figures

        report = Report()
        context.say("building the model")
        model = workload.build()
        batch = workload.batch()
        context.say("running it forward")
        fake = workload.fake is not None
        _forward(report, model, batch, fake=fake)
        report.notes += workload.notes()
        _sizes(report, model, None if fake else context.scratch)
        context.say("counting MACs")
        macs = count_macs(model, lambda: batch.call(model))
        layers = trace_layers(model, lambda: batch.call(model))
        report.metric("macs_g", macs.total / 1e9, "GMACs")
        report.metric("uncounted_ops", len(macs.uncounted), "count")
        if macs.uncounted:
            report.details["uncounted_ops"] = dict(macs.uncounted)
            report.warnings.append(
                f"the MACs leave out {', '.join(macs.uncounted)}: no formula is known for them"
            )
        write_table(layers, macs.by_module, context.directory / "layers.csv")
        report.artifacts.append("layers.csv")
        context.say("asking torchinfo")
        try:
            figures = torchinfo_figures(model, batch)
        except RuntimeError as error:  # torchinfo raises this for any model it cannot run
            log.exception("torchinfo")
            report.warnings.append(f"torchinfo cannot summarise this model: {error}")
        else:
            _torchinfo(report, figures, context.directory)
            report.notes.append(difference(figures, macs, layers))
        return report


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


def _sizes(report: Report, model: nn.Module, scratch: Path | None) -> None:
    """Count parameters and bytes, in memory and, with `scratch`, in a file really written there."""
    import torch

    parameters = list(model.parameters())  # a tied parameter comes once
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    size = sum(t.numel() * t.element_size() for t in [*parameters, *model.buffers()])
    report.metric("params", sum(p.numel() for p in parameters), "count")
    report.metric("trainable_params", trainable, "count")
    report.metric("size_mib", size / MIB, "MiB")
    if scratch is None:
        report.notes.append("built without memory: no numbers, and no file to measure")
        return
    file = scratch / "weights.pt"
    torch.save(model.state_dict(), file)
    report.metric("saved_mib", file.stat().st_size / MIB, "MiB")
    file.unlink()


def _torchinfo(report: Report, figures: Figures, directory: Path) -> None:
    """Put torchinfo's figures under their own name beside ours."""
    report.metric("torchinfo_mult_adds_g", figures.mult_adds / 1e9, "G")
    report.metric("input_mb", figures.input_mb, "MB")
    report.metric("forward_backward_mb", figures.forward_backward_mb, "MB")
    report.metric("params_mb", figures.params_mb, "MB")
    report.metric("total_mb", figures.total_mb, "MB")
    (directory / "torchinfo.txt").write_text(figures.table + "\n", encoding="utf-8")
    report.artifacts.append("torchinfo.txt")


def _shapes(tensors: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def _told(tensors: dict[str, Tensor]) -> str:
    """Write tensors as a person would: 'images [1, 3, 32, 32] float32'."""
    words = (f"{name} {list(t.shape)} {_dtype(t)}" for name, t in tensors.items())
    return ", ".join(word.removeprefix("0 ") for word in words)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
