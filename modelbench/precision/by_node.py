"""Which products of an exported model are quantized: each one for itself, by its node."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    Quantizer,
    SharedQuantizationSpec,
)

aten = torch.ops.aten
PRODUCTS = (aten.conv2d.default, aten.linear.default)
"""What oneDNN multiplies in 8 bits."""
OUT_OF_PLACE = {
    aten.add_.Tensor: aten.add.Tensor,
    aten.relu_.default: aten.relu.default,
    aten.hardtanh_.default: aten.hardtanh.default,
    aten.hardswish_.default: aten.hardswish.default,
    aten.silu_.default: aten.silu.default,
}
KEY = "quantization_annotation"


class ByNode(Quantizer):  # type: ignore[misc]
    """Quantizes the two factors of every convolution and Linear that has a constant weight.

    torchao's own quantizer for x86 goes by the modules that nodes came from, and raises where one
    was called twice, as the ReLU of every residual block is. Which operations are then fused into
    one is for the compiler to find: it depends on the operations, not on where they came from.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self._config = config

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Put the same operation out of place where nothing else sees what is overwritten.

        A value that is overwritten has no range that could be measured once.
        """
        for node in model.graph.nodes:
            if node.target in OUT_OF_PLACE and _alone(node.args[0]):
                node.target = OUT_OF_PLACE[node.target]
        model.recompile()
        return model

    def annotate(self, model: GraphModule) -> GraphModule:
        """Mark what is to be quantized."""
        weights: dict[Node, tuple[Node, Node]] = {}
        for node in model.graph.nodes:
            if not quantizable(node):
                continue
            given, weight = node.args[:2]
            first = weights.setdefault(weight, (weight, node))
            shared = self._config.weight if first[1] is node else SharedQuantizationSpec(first)
            _mark(node, {given: self._config.input_activation, weight: shared})
        for node in model.graph.nodes:
            other = _added(node)
            if other is not None:
                _mark(node, {other: self._config.input_activation})
        return model

    def validate(self, model: GraphModule) -> None:
        """Accept any."""


def quantizable(node: Node) -> bool:
    """Return whether a node is a product of floats by a constant, whose range can be measured."""
    if node.op != "call_function" or node.target not in PRODUCTS:
        return False
    given, weight = node.args[:2]
    return (
        isinstance(given, Node)
        and isinstance(weight, Node)
        and _float(given)
        and not _overwritten(given)
        and _constant(weight)
    )


def _added(node: Node) -> Node | None:
    """Return what is added to a quantized convolution, which can then be done in the same step."""
    if node.target is not aten.add.Tensor or not all(isinstance(a, Node) for a in node.args[:2]):
        return None
    one, two = node.args[:2]
    pairs: tuple[tuple[Any, Any], ...] = ((one, two), (two, one))
    for convolved, other in pairs:
        done = convolved.target is aten.conv2d.default and KEY in convolved.meta
        same = done and _float(other) and _shape(convolved) == _shape(other)
        if same and len(convolved.users) == 1 and not _overwritten(other):
            added: Node = other
            return None if added.op == "get_attr" else added
    return None


def _mark(node: Node, inputs: dict[Node, Any]) -> None:
    node.meta[KEY] = QuantizationAnnotation(input_qspec_map=inputs, _annotated=True)


def _alone(node: Any) -> bool:
    """Return whether a node's memory is its own and has one user."""
    if not isinstance(node, Node) or node.op != "call_function" or len(node.users) != 1:
        return False
    schema = getattr(node.target, "_schema", None)
    return schema is not None and not any(each.alias_info for each in schema.returns)


def _overwritten(node: Node) -> bool:
    for user in node.users:
        schema = getattr(user.target, "_schema", None)
        arguments = zip(schema.arguments, user.args, strict=False) if schema else ()
        if any(a.alias_info and a.alias_info.is_write and given is node for a, given in arguments):
            return True
    return False


def _constant(node: Node) -> bool:
    """Return whether a node comes of weights alone, so that it can be quantized beforehand."""
    if node.op == "get_attr":
        return _float(node)
    inputs = node.all_input_nodes
    return node.op == "call_function" and bool(inputs) and all(map(_constant, inputs))


def _float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype is torch.float32


def _shape(node: Node) -> torch.Size:
    shape: torch.Size = node.meta["val"].shape
    return shape
