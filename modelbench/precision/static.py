"""INT8 with ranges measured on real input: torchao's PT2E, which reaches convolutions too."""

from __future__ import annotations

import logging
import math
import platform
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from modelbench.precision.compiling import no_compiler
from modelbench.precision.rewrite import rewrite
from modelbench.precision.scheme import Scheme
from modelbench.precision.shipped import Reach, Shipped
from modelbench.results import Skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbench.batch import Batch
    from modelbench.workload import Workload

log = logging.getLogger(__name__)

PRODUCTS = (
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose",
    "linear",
    "matmul",
    "mm.",
    "addmm",
    "attention",
)


@dataclass(frozen=True)
class Static(Scheme):
    """Exports the model, watches it on calibration input, and quantizes what it computed."""

    quantizer: Any = None
    """A quantizer of torchao's for exported models."""
    batches: int = 8
    """Batches of calibration input."""

    def refuse(self, device: torch.device) -> None:
        """Refuse what is no x86 processor too."""
        super().refuse(device)
        if platform.machine().lower() not in {"x86_64", "amd64"}:
            raise Skip(f"needs an x86 processor, and this is {platform.machine()}")

    def ship(self, workload: Workload, *, phases: bool) -> Shipped:
        """Quantize the call with the whole batch."""
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        self.refuse(workload.device)
        if phases and workload.prepare:
            raise Skip(
                f"exports the call with the whole batch, and not {', '.join(workload.phases)}"
            )
        model = _Positional(rewrite(workload.build()), workload.batch())
        given = model.arguments(workload.batch())
        with torch.no_grad():
            try:
                exported: Any = torch.export.export(model, given).module()
            except Exception as error:  # the exporter raises all kinds
                log.info("torch.export", exc_info=True)
                raise Skip(f"torch.export cannot export it: {_first_line(error)}") from error
            prepared = prepare_pt2e(exported, self.quantizer)
            for batch in workload.calibration(self.batches):
                if any(not torch.isfinite(t).all() for t in _floating(batch)):
                    raise Skip("the calibration input holds NaN or infinity")
                prepared(*model.arguments(batch))
            converted = convert_pt2e(prepared)
        _drop_unused(converted)
        reach = _reach(converted, model)
        if not reach.computed:
            raise Skip("there is nothing that it reaches: no convolution, no Linear")
        runs, notes = converted, []
        if self.compile and (why := no_compiler()):
            from torchao.quantization.pt2e.lowering import lower_pt2e_quantized_to_x86

            runs = lower_pt2e_quantized_to_x86(converted, given)
            notes.append(f"lowered to oneDNN's operations without a compiler ({why})")
        return Shipped(
            _Named(runs, model),
            reach,
            quantized=True,
            fixed_sizes=True,
            compiles=self.compile and not notes,
            notes=notes,
            suffix=".pt2",
            save=lambda _, file: _save(converted, given, file),
            load=lambda _, file: _Named(torch.export.load(file).module(), model),
        )


class _Positional(nn.Module):
    """Takes a batch's tensors in a row, since not all of the tools take names."""

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(batch.kwargs)
        self.count = len(batch.args)

    def forward(self, *tensors: torch.Tensor) -> Any:
        named = dict(zip(self.names, tensors[self.count :], strict=True))
        return self.model(*tensors[: self.count], **named)

    def arguments(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        return (*batch.args, *(batch.kwargs[name] for name in self.names))


class _Named(nn.Module):
    """Takes them by name again."""

    def __init__(self, runs: nn.Module, model: _Positional) -> None:
        super().__init__()
        self.runs, self._names = runs, model.names

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.runs(*args, *(kwargs[name] for name in self._names))


def _floating(batch: Batch) -> Sequence[torch.Tensor]:
    return [t for t in batch.named().values() if t.is_floating_point()]


def _drop_unused(graph: Any) -> None:
    """Take out the weights that their quantized forms have replaced; they would be shipped too."""
    used = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    names = [name for name, _ in [*graph.named_parameters(), *graph.named_buffers()]]
    for name in names:
        if name not in used:
            parent, _, own = name.rpartition(".")
            delattr(graph.get_submodule(parent), own)


def _reach(graph: Any, model: _Positional) -> Reach:
    """Tell from the graph which products have quantized factors, and what each comes to."""
    computed: dict[str, float] = {}
    kept = []
    for node in graph.graph.nodes:
        name = str(node.target)
        if node.op != "call_function" or not any(product in name for product in PRODUCTS):
            continue
        path = _path(node)
        factors = [_eight_bits(arg) for arg in node.args[:2] if isinstance(arg, torch.fx.Node)]
        if len(factors) == 2 and all(factors):
            computed[path] = computed.get(path, 0) + _macs(node, factors[1], graph)
        elif path:
            layer = f"{type(model.model.get_submodule(path)).__name__} {path}"
            kept.append(f"{layer} ({name.split('.')[1]})")
    tensors = [tensor for _, tensor in [*graph.named_parameters(), *graph.named_buffers()]]
    low = sum(tensor.numel() for tensor in tensors if tensor.dtype in {torch.int8, torch.uint8})
    parameters = sum(tensor.numel() for _, tensor in graph.named_parameters())
    return Reach(low, parameters + low, computed, tuple(dict.fromkeys(kept)))


def _macs(node: Any, weight: Any, graph: Any) -> float:
    """Give a product's multiply-accumulates: for each output, one row of the weight."""
    if weight.op != "get_attr":  # a product of two activations is its layer's only one
        return math.inf
    row: int = attrgetter(weight.target)(graph)[0].numel()
    return math.prod(node.meta["val"].shape) * row


def _path(node: Any) -> str:
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path: str = stack[-1][0] if stack else ""
    path = path.partition("@")[0]  # a layer's second call may be `layer@1`
    return path.removeprefix("model").removeprefix(".")


def _eight_bits(node: Any) -> Any:
    """Look through what only moves values, and give what came out of eight bits, if it did."""
    moves = ("permute", "transpose", "view", "reshape", "expand", "aten.t.", "slice", "to.dtype")
    while node.op == "call_function" and any(move in str(node.target) for move in moves):
        node = node.args[0]
    out = node.op == "call_function" and "dequantize" in str(node.target)
    return node.args[0] if out else None


def _save(converted: Any, given: tuple[torch.Tensor, ...], file: Path) -> None:
    with torch.no_grad():
        torch.export.save(torch.export.export(converted, given), file)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
