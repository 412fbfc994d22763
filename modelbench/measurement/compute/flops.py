"""Multiply-accumulates of a forward pass, counted operation by operation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from modelbench.measurement.compute.formulas import formulas
from modelbench.measurement.compute.free import is_free

aten = torch.ops.aten

EMPTY = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten._local_scalar_dense}
GATHERS = {aten.embedding, aten.gather, aten.index, aten.index_select, aten._unsafe_index}


@dataclass(frozen=True)
class Macs:
    """What a call cost."""

    total: int
    by_module: Mapping[str, int]
    """Module path -> MACs of it and all below it; the root is ''."""
    uncounted: Mapping[str, int]
    """Operations without a formula that may multiply and accumulate -> how often they ran."""
    bytes: int
    """What the operations read and write, each for itself: nothing is taken to stay in a cache."""
    operations: int = 0
    """How many did so."""


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up bytes, and notes operations that neither have a formula nor are known to be free."""

    def __init__(self, known: set[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = known
        self.calls: dict[str, int] = defaultdict(int)
        self.bytes = self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        packet = func.overloadpacket
        if not (packet in self._known or is_free(func)):
            self.calls[str(packet)] += 1
        result = func(*args, **(kwargs or {}))
        moved = _traffic(func, args, kwargs or {}, result)
        self.bytes += moved
        self.operations += moved > 0
        return result


@contextmanager
def _untrained(model: nn.Module) -> Iterator[None]:
    """Let no parameter require a gradient.

    torch's counter hooks the gradient of what a module takes, which a parameter that is passed on
    does not have where no gradient is computed.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def compiles_itself(module: nn.Module) -> bool:
    """Return whether the model's own code compiles this module."""
    own = getattr(module, "_compiled_call_impl", None) is not None
    return own or type(module).__name__ == "OptimizedModule"


def _as_written(model: nn.Module) -> AbstractContextManager[Any]:
    """Let parts that the model compiles itself run as written: nothing compiled can be counted."""
    if not any(map(compiles_itself, model.modules())):
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


class Counter:
    """What has run so far since it was made."""

    def __init__(self) -> None:
        self._flops = FlopCounterMode(display=False, custom_mapping=formulas())
        self._watch = _Watch(set(self._flops.flop_registry))

    @contextmanager
    def counting(self, model: nn.Module) -> Iterator[None]:
        """Count what runs within."""
        # The counter takes operations apart first, so the other mode sees what really ran.
        with (
            _as_written(model), _untrained(model), unfused(), self._watch, self._flops,
            torch.no_grad(),
        ):  # fmt: skip
            yield

    @property
    def macs(self) -> int:
        """Multiply-accumulates; 1 MAC is 2 FLOPs."""
        return self._flops.get_total_flops() // 2

    @property
    def bytes(self) -> int:
        """What the operations have read and written."""
        return self._watch.bytes

    def found(self, model: nn.Module) -> Macs:
        """Return all of it, by the model's modules as well."""
        root = type(model).__name__
        by_module = dict.fromkeys((path for path, _ in model.named_modules()), 0)
        by_module |= {
            "" if path == root else path.removeprefix(f"{root}."): sum(flops.values()) // 2
            for path, flops in self._flops.get_flop_counts().items()
            if path != "Global"
        }
        watch = self._watch
        return Macs(self.macs, by_module, dict(watch.calls), watch.bytes, watch.operations)


def count_macs(model: nn.Module, call: Callable[[], Any]) -> Macs:
    """Count the MACs of `call`, which runs `model`.

    The formulas are those of `torch.utils.flop_counter`, and ours of what it lacks. Biases,
    normalisations and pointwise operations are not MACs; a complex product is four real ones.
    """
    counter = Counter()
    with counter.counting(model):
        call()
    return counter.found(model)


@contextmanager
def unfused() -> Iterator[None]:
    """Let no layer of nn.Transformer run as a single operation, which nobody can look into."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _traffic(func: Any, args: Any, kwargs: Any, result: Any) -> int:
    """Return the bytes that an operation reads and writes."""
    packet = func.overloadpacket
    if func.is_view or packet in EMPTY:
        return 0
    written = _stored(result)
    if packet in GATHERS:  # of a whole table only what is looked up
        return 2 * written
    return written + _stored(args) + _stored(tuple(kwargs.values()))


def _stored(value: Any) -> int:
    """Return the bytes behind tensors; an expanded one has fewer than its shape says."""
    if isinstance(value, list | tuple):  # operations take and return nothing deeper
        return sum(map(_stored, value))
    if not isinstance(value, torch.Tensor):
        return 0
    if value.is_nested or value.layout is not torch.strided or value.is_contiguous():
        return value.numel() * value.element_size()
    shape = zip(value.shape, value.stride(), strict=True)
    return math.prod(size for size, stride in shape if stride) * value.element_size()
