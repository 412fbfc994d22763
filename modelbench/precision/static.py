"""INT8 with ranges measured on real input: torchao's PT2E, which reaches convolutions too."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from modelbench.precision.compiling import no_compiler
from modelbench.precision.converted import ConvertedModel
from modelbench.precision.rewrite import rewrite
from modelbench.precision.scheme import Scheme
from modelbench.results import Skip
from modelbench.results.attempts import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelbench.inputs.batch import Batch
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import Coverage

log = logging.getLogger(__name__)

T = TypeVar("T")


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
            raise Skip(f"needs an x86 processor, but this is {platform.machine()}")

    def convert(self, workload: Workload, *, phases: bool) -> ConvertedModel:
        """Quantize the call with the whole batch."""
        from modelbench.precision.coverage import coverage_of, drop_unused, products

        self.refuse(workload.device)
        if phases and workload.prepare:
            raise Skip(
                f"exports only the call with the whole batch, not {', '.join(workload.phases)}"
            )
        model = _Positional(rewrite(workload.build()), workload.batch())
        given = model.arguments(workload.batch())
        why = no_compiler() if self.compile else None
        with torch.no_grad():
            exported: Any = _or_skip("torch.export cannot export it", lambda: _export(model, given))
            if why:
                two_dimensional(exported)
            graph_module = self._quantized_graph(exported, model, workload)
        drop_unused(graph_module)
        reached = coverage_of(graph_module, model.model)
        if not reached.computed:
            raise Skip(f"it covers nothing: {_untouched(reached)}")
        runs, notes = graph_module, []
        if why:
            runs = _or_skip("torchao cannot lower it", lambda: _lowered(graph_module, given))
            notes.append(f"is lowered to oneDNN operations, without a compiler ({why})")
        return ConvertedModel(
            _Named(runs, model),
            reached,
            quantized=True,
            fixed_sizes=True,
            compiles=self.compile and not why,
            notes=notes,
            suffix=".pt2",
            products=products(graph_module),
            saved=_Named(graph_module, model),
            save=lambda _, file: _save(graph_module, given, file),
            load=lambda _, file: _Named(torch.export.load(file).module(), model),
        )

    def _quantized_graph(self, exported: Any, model: _Positional, workload: Workload) -> Any:
        """Watch the model on calibration input, and quantize it."""
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        cannot = "torchao cannot quantize it"
        prepared = _or_skip(cannot, lambda: prepare_pt2e(exported, self.quantizer))
        for batch in workload.calibration(self.batches):
            if any(not torch.isfinite(t).all() for t in _floating(batch)):
                raise Skip("the calibration input holds NaN or infinity")
            prepared(*model.arguments(batch))
        graph_module = _or_skip(cannot, lambda: convert_pt2e(prepared))
        _own_scales(graph_module)
        return graph_module


def _own_scales(graph_module: Any) -> None:
    """Give each product a scale of its own, for a weight that several have.

    The compiler merges what is dequantized alike, and takes no shared weight to 8 bits.
    """
    graph, seen = graph_module.graph, set()
    for node in list(graph.nodes):
        if "dequantize_per" not in str(node.target) or node.args[0].op != "get_attr":
            continue
        weight, scale, *rest = node.args
        if weight in seen:
            name = f"{scale.target}_of_{node.name}".replace(".", "_")
            graph_module.register_buffer(name, getattr(graph_module, scale.target).clone())
            with graph.inserting_before(node):
                node.args = (weight, graph.get_attr(name), *rest)
        seen.add(weight)
    graph_module.recompile()


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


def two_dimensional(graph: Any) -> None:
    """Let Linears take a matrix: the lowering looks for no other input."""
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target is torch.ops.aten.linear.default:
            given = node.args[0].meta["val"]
            if given.ndim > 2:
                _flattened(graph.graph, node, given)
    graph.recompile()


def _flattened(graph: torch.fx.Graph, node: torch.fx.Node, given: torch.Tensor) -> None:
    reshape = torch.ops.aten.reshape.default
    outputs = node.meta["val"]
    with graph.inserting_before(node):
        flat = graph.call_function(reshape, (node.args[0], [-1, given.shape[-1]]))
    flat.meta = {"val": given.reshape(-1, given.shape[-1])}
    with graph.inserting_after(node):
        back = graph.call_function(reshape, (node, list(outputs.shape)))
    back.meta = {"val": outputs}
    node.replace_all_uses_with(back, delete_user_cb=lambda user: user is not back)
    node.args = (flat, *node.args[1:])
    node.meta["val"] = outputs.reshape(-1, outputs.shape[-1])


def _export(model: nn.Module, given: tuple[torch.Tensor, ...]) -> Any:
    return torch.export.export(model, given).module()


def _lowered(graph_module: Any, given: tuple[torch.Tensor, ...]) -> Any:
    """Lower it; raises RuntimeError where that reaches less than was quantized."""
    from torchao.quantization.pt2e.lowering import lower_pt2e_quantized_to_x86

    from modelbench.precision.coverage import lowered, products

    runs = lower_pt2e_quantized_to_x86(graph_module, given)
    if (done := lowered(runs)) < (wanted := products(graph_module)):
        raise RuntimeError(f"only {done} of {wanted} products would be computed in 8 bits")
    return runs


def _or_skip(cannot: str, act: Callable[[], T]) -> T:
    """Act; raises Skip with the reason where others' code raises, which is of all kinds."""
    try:
        return act()
    except Exception as error:
        log.info(cannot, exc_info=True)
        raise Skip(f"{cannot}: {in_one_line(error)}") from error


def _untouched(reached: Coverage) -> str:
    kept = ", ".join(reached.kept[:4])
    return f"none of its products ({kept})" if kept else "no convolution, no Linear"


def _save(graph_module: Any, given: tuple[torch.Tensor, ...], file: Path) -> None:
    with torch.no_grad():
        torch.export.save(torch.export.export(graph_module, given), file)
