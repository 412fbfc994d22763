"""torch.export with the axes left open, and what it makes of them."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export import Dim

from modelbench.inputs.batch import Batch
from modelbench.measurement.isolated import Send
from modelbench.models.batches import mixed_batch
from modelbench.models.workload import Workload
from modelbench.results.attempts import in_one_line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """How the axes came out."""

    dynamic: Sequence[str] = ()
    fixed: Mapping[str, int] | None = None
    error: str | None = None

    def told(self) -> str:
        """Return it in words."""
        if self.error is not None:
            return f"torch.export fails: {self.error}"
        parts = [f"{', '.join(self.dynamic)} dynamic"] if self.dynamic else []
        parts += [f"{axis} fixed at {size}" for axis, size in (self.fixed or {}).items()]
        return f"torch.export works, {'; '.join(parts) or 'with no axis to make dynamic'}"


def try_export(workload: Workload, others: Mapping[str, int], send: Send) -> None:
    """Send an Exported; `others` has another size of each axis, which shows its dimensions."""
    # A size of one would be taken for a constant.
    batch = mixed_batch(workload)
    grown = {axis: _grown(workload, batch, axis, size) for axis, size in others.items()}
    model = workload.build()
    settings = getattr(model, "config", None)
    if settings is not None and getattr(settings, "use_cache", False):
        settings.use_cache = False  # transformers' caches are no type that can be exported
    named = _by_parameter(model, batch)
    names = dict(zip(batch.named(), named, strict=True))
    dynamic: dict[str, dict[int, Any]] = {name: {} for name in named}
    for dims in grown.values():
        for name, places in dims.items():
            dynamic[names[name]] |= dict.fromkeys(places, Dim.AUTO)
    try:
        with torch.no_grad():
            program = torch.export.export(
                model, batch.args, dict(batch.kwargs), dynamic_shapes=dynamic, strict=False
            )
    except Exception as error:  # the exporter raises all kinds
        log.info("torch.export", exc_info=True)
        send(Exported(error=in_one_line(error)))
        return
    send(_read(program, list(batch.named()), grown, workload))


def _grown(workload: Workload, batch: Batch, axis: str, size: int) -> dict[str, list[int]]:
    """Name the dimensions of each input that grow with an axis."""
    usual = {"batch_size": len(next(iter(batch.named().values())))}
    other = workload.batch(**{**usual, axis: size}).named()
    return {
        name: [d for d in range(own.ndim) if own.shape[d] != other[name].shape[d]]
        for name, own in batch.named().items()
    }


def _by_parameter(model: nn.Module, batch: Batch) -> list[str]:
    """Name the parameters of forward that the batch's tensors go to."""
    parameters = list(inspect.signature(model.forward).parameters)
    return [*parameters[: len(batch.args)], *batch.kwargs]


def _read(
    program: Any, names: Sequence[str], grown: Mapping[str, Mapping[str, Sequence[int]]],
    workload: Workload,
) -> Exported:  # fmt: skip
    """See which dimensions the program left open."""
    inputs = set(program.graph_signature.user_inputs)
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in inputs]
    shapes = {name: node.meta["val"].shape for name, node in zip(names, nodes, strict=False)}
    dynamic, fixed = [], {}
    for axis, dims in grown.items():
        sizes = [shapes[name][d] for name, places in dims.items() for d in places]
        if sizes and all(isinstance(size, torch.SymInt) for size in sizes):
            dynamic.append(axis)
        else:
            fixed[axis] = int(sizes[0]) if sizes else workload.axes[axis]
    return Exported(dynamic, fixed)
