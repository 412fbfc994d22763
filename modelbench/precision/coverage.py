"""What of an exported model is computed in eight bits."""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from modelbench.precision.converted import Coverage

PRODUCTS = (
    "conv1d", "conv2d", "conv3d", "conv_transpose", "convolution", "linear", "matmul",
    "mm.", "addmm", "attention", "einsum",
)  # fmt: skip


def drop_unused(graph: Any) -> None:
    """Take out the weights that their quantized forms have replaced; they would be saved too."""
    used = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    names = [name for name, _ in [*graph.named_parameters(), *graph.named_buffers()]]
    for name in names:
        if name not in used:
            parent, _, own = name.rpartition(".")
            delattr(graph.get_submodule(parent), own)


def coverage_of(graph: Any, model: nn.Module) -> Coverage:
    """Return from the graph which products have quantized factors, and what each comes to."""
    computed: dict[str, float] = {}
    kept = []
    for node in graph.graph.nodes:
        if not _multiplies(node):
            continue
        path, factors = _path(node), _factors(node)
        if factors:
            computed[path] = computed.get(path, 0) + _macs(node, factors[1], graph)
        else:
            layer = f"{type(model.get_submodule(path)).__name__} {path}".strip()
            kept.append(f"{layer} ({str(node.target).split('.')[1]})")
    tensors = [tensor for _, tensor in [*graph.named_parameters(), *graph.named_buffers()]]
    low = sum(tensor.numel() for tensor in tensors if tensor.dtype in {torch.int8, torch.uint8})
    parameters = sum(tensor.numel() for _, tensor in graph.named_parameters())
    return Coverage(low, parameters + low, computed, tuple(dict.fromkeys(kept)))


def products(graph: Any) -> int:
    """Count the products whose factors are quantized."""
    return sum(_multiplies(node) and bool(_factors(node)) for node in graph.graph.nodes)


def lowered(graph: Any) -> int:
    """Count the products that oneDNN computes in eight bits."""
    names = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    return sum("onednn.q" in name and "prepack" not in name for name in names)


def _multiplies(node: Any) -> bool:
    name = str(node.target)
    return node.op == "call_function" and any(product in name for product in PRODUCTS)


def _factors(node: Any) -> list[Any]:
    """Return what the two factors were in eight bits; nothing where one was not."""
    found = [_eight_bits(arg) for arg in node.args[:2] if isinstance(arg, torch.fx.Node)]
    return found if len(found) == 2 and all(found) else []


def _macs(node: Any, weight: Any, graph: Any) -> float:
    """Return a product's multiply-accumulates: for each output, one row of the weight."""
    if weight.op != "get_attr":  # a product of two activations is its layer's only one
        return math.inf
    row: int = attrgetter(weight.target)(graph)[0].numel()
    return float(math.prod(node.meta["val"].shape) * row)


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
