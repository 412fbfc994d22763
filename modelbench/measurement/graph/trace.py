"""What a forward call runs, and what flows from one module to the next, as it really happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from modelbench.inputs.tensors import named_tensors
from modelbench.measurement.compute.flops import unfused
from modelbench.measurement.hooks import hookable

INPUT, MODULE, JOIN, OUTPUT = "input", "module", "join", "output"

ATTENTION = {"scaled_dot_product_attention", "multi_head_attention_forward", "flex_attention"}
PRODUCTS = {*ATTENTION, "matmul", "bmm", "baddbmm", "einsum"}
# Their further arguments give a shape or a type, and no data.
ONE_SIDED = {"expand_as", "view_as", "reshape_as", "type_as", "to"}
# The Python operators, as people call them.
OPERATORS = {"iadd": "add", "radd": "add", "isub": "sub", "rsub": "sub", "imul": "mul",
             "rmul": "mul", "truediv": "div", "itruediv": "div", "rtruediv": "div",
             "rmatmul": "matmul", "getitem": "index", "concat": "cat", "concatenate": "cat",
             "scaled_dot_product_attention": "attention"}  # fmt: skip


@dataclass(eq=False)
class Node:
    """One call of a module, an operation that joins branches, an input, or the output."""

    role: str
    path: str
    """Of the module; of an operation, the module that it ran in."""
    kind: str
    """The class, or the operation's name."""
    order: int
    parent: Node | None = None
    shape: tuple[int, ...] | None = None
    """Of the first tensor that it gives; for an input, of itself."""
    told: str = ""
    """All that it gives, as text."""
    params: int = 0
    macs: float = 0.0
    ms: float = 0.0
    """Milliseconds, where they were measured."""
    children: list[Node] = field(default_factory=list)
    calls: int = 0
    """Modules called within."""


@dataclass
class Trace:
    """One forward call."""

    root: Node
    inputs: list[Node]
    output: Node
    edges: dict[tuple[Node, Node], None]
    """From where a tensor was made to where it was used, each once, in order."""

    @property
    def macs(self) -> float:
        """Multiply-accumulates of the whole call."""
        return self.root.macs


@dataclass(frozen=True)
class Costs:
    """What each module costs with all within it, in all its calls, by its path."""

    macs: Mapping[str, int]
    ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds, by which the picture is coloured where they are known."""


def trace(
    model: nn.Module, inputs: Mapping[str, Tensor], call: Callable[[], Any], costs: Costs
) -> Trace:
    """Make a call that runs the model once, and follow its tensors from its inputs.

    Follows what goes through modules and torch's functions, in any structure; operations that have
    one source belong to it, those of several are nodes. Raises what the model raises.
    """
    recorder = _Recorder(type(model).__name__)
    given = [recorder.given(name, tensor) for name, tensor in inputs.items()]
    hooks = [
        hook
        for path, module in hookable(model)
        for hook in (
            module.register_forward_pre_hook(recorder.enter(path), with_kwargs=True),
            module.register_forward_hook(lambda _, __, outputs: recorder.leave(outputs)),
        )
    ]
    try:
        with torch.no_grad(), unfused(), _Functions(recorder):
            outputs = call()
    finally:
        for hook in hooks:
            hook.remove()
    output = recorder.end(outputs)
    root = recorder.root or recorder.entered()
    _share(root, costs.macs, "macs")
    _share(root, costs.ms, "ms")
    return Trace(root, given, output, recorder.edges)


class _Recorder:
    """Knows of every tensor which node it comes from; one that comes from no input, has none."""

    def __init__(self, kind: str) -> None:
        self.root: Node | None = None
        self._kind = kind
        self.edges: dict[tuple[Node, Node], None] = {}
        self._open: list[tuple[Node, list[tuple[Tensor, int, Node | None]]]] = []
        self._source: Any = WeakTensorKeyDictionary()
        self._count = 0

    def given(self, name: str, tensor: Tensor) -> Node:
        node = self._node(INPUT, name, "")
        self._made(node, {name: tensor})
        return node

    def enter(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            if path and self.root is None:
                self.entered()
            node = self._node(MODULE, path, type(module).__name__)
            node.params = sum(p.numel() for p in module.parameters())
            if node.parent is None:
                self.root = node
            else:
                node.parent.calls += 1
            taken = named_tensors([args, kwargs]).values()
            self._open.append((node, [(t, _version(t), self._source.get(t)) for t in taken]))

        return hook

    def entered(self) -> Node:
        """Stand for a model of which a method is called, and not itself."""
        self.root = self._node(MODULE, "", self._kind)
        self._open.append((self.root, []))
        return self.root

    def leave(self, outputs: Any) -> None:
        node, taken = self._open.pop()
        made = named_tensors(outputs)
        leaf = node.calls == 0 and node.parent is not None
        if leaf and made and all(_untouched(tensor, taken) for tensor in made.values()):
            assert node.parent is not None
            node.parent.children.remove(node)  # such as dropout in evaluation
            node.parent.calls -= 1
            return
        if leaf:
            for _, _, source in taken:
                self._edge(source, node)
            self._made(node, made)
        else:
            _describe(node, made)

    def operation(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        """Follow a function's tensors; it is a node of its own where it joins several."""
        results = named_tensors(result)
        if not results:
            return
        taken = [leaf for leaf in tree_leaves([args, kwargs]) if isinstance(leaf, Tensor)]
        if name in ONE_SIDED:
            taken = taken[:1]
        sources = list(dict.fromkeys(s for t in taken if (s := self._source.get(t)) is not None))
        if not sources:
            return
        first = next(iter(results.values()))
        computes = first.is_floating_point() or first.is_complex()
        if computes and (len(sources) > 1 or name in ATTENTION):
            join = self._node(JOIN, self._open[-1][0].path if self._open else "", _named(name))
            for source in sources:
                self._edge(source, join)
            self._made(join, results)
            return
        latest = max(sources, key=lambda source: source.order)
        for tensor in results.values():
            self._source[tensor] = latest

    def end(self, outputs: Any) -> Node:
        self._open.clear()
        node = self._node(OUTPUT, "", "")
        made = named_tensors(outputs)
        for tensor in made.values():
            self._edge(self._source.get(tensor), node)
        _describe(node, made)
        return node

    def _node(self, role: str, path: str, kind: str) -> Node:
        parent = self._open[-1][0] if self._open else None
        node = Node(role, path, kind, self._count, parent)
        self._count += 1
        if parent is not None:
            parent.children.append(node)
        return node

    def _made(self, node: Node, tensors: Mapping[str, Tensor]) -> None:
        _describe(node, tensors)
        for tensor in tensors.values():
            self._source[tensor] = node

    def _edge(self, source: Node | None, target: Node) -> None:
        if source is not None and source is not target:
            self.edges[source, target] = None


class _Functions(TorchFunctionMode):
    """Sees the calls of torch's functions, methods and operators."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").strip("_")
        changed = args[0] if name == "setitem" else result
        self._recorder.operation(name, args, kwargs or {}, changed)
        return result


def _untouched(tensor: Tensor, taken: list[tuple[Tensor, int, Node | None]]) -> bool:
    """Return whether a module gave back what it took, unchanged."""
    return any(tensor is t and _version(t) == version for t, version, _ in taken)


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place; those of inference do not know."""
    return 0 if tensor.is_inference() else tensor._version


def _describe(node: Node, tensors: Mapping[str, Tensor]) -> None:
    node.told = ", ".join(
        f"{'' if name == '0' else name + ' '}{'×'.join(map(str, t.shape)) or 'scalar'}"
        for name, t in tensors.items()
    )
    node.shape = next((tuple(tensor.shape) for tensor in tensors.values()), None)


def _named(function: str) -> str:
    return OPERATORS.get(function, function)


def _share(root: Node, costs: Mapping[str, float], figure: str) -> None:
    """Share the costs of a path among its calls, and what no child has, among its products."""
    nodes = list(walk(root))
    calls: dict[str, int] = {}
    for node in nodes:
        if node.role == MODULE:
            calls[node.path] = calls.get(node.path, 0) + 1
    for node in nodes:
        if node.role == MODULE:
            setattr(node, figure, costs.get(node.path, 0) / calls[node.path])
    for node in nodes:
        products = [c for c in node.children if c.role == JOIN and c.kind in _PRODUCT_NAMES]
        inner = sum(getattr(child, figure) for child in node.children)
        left = max(0.0, getattr(node, figure) - inner)
        for product in products:
            setattr(product, figure, left / len(products))


_PRODUCT_NAMES = {_named(name) for name in PRODUCTS}


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all within, outer ones first."""
    yield node
    for child in node.children:
        yield from walk(child)
