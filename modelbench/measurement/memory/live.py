"""Memory estimated: the tensors alive while a call runs, without any of them being there."""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from modelbench.measurement.hooks import hookable
from modelbench.measurement.memory.convolutions import CONVOLUTIONS, extra


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, as long as somebody refers to them.

    What a kernel needs for itself while it runs is not seen, but for convolutions on the CPU.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._alive: set[int] = set()

    def add(self, value: Any) -> None:
        """Count the tensors in `value`."""
        for tensor in tree_leaves(value):
            if isinstance(tensor, Tensor):
                self._add(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.add(result)
        if func in CONVOLUTIONS:
            self.most = max(self.most, self.now + extra(func, args, result))
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        size = storage.nbytes()
        self._alive.add(key)
        weakref.finalize(storage, self._gone, key, size)
        self.now += size
        self.most = max(self.most, self.now)

    def _gone(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size


class Saved:
    """What autograd keeps for the backward pass, by the module that was running."""

    def __init__(self, own: Iterable[Tensor]) -> None:
        self._own = {tensor.untyped_storage()._cdata for tensor in own}
        """The model's, which are there in any case."""
        self._seen: set[int] = set()
        self.by_module: Counter[str] = Counter()
        self._running = [""]

    @property
    def total(self) -> int:
        """Bytes; a storage that is saved twice counts once."""
        return sum(self.by_module.values())

    @contextlib.contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Count what the calls within save."""
        hooks = []
        for path, module in hookable(model):
            hooks.append(module.register_forward_pre_hook(self._enter(path)))
            hooks.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            with saved_tensors_hooks(self._pack, lambda tensor: tensor):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, path: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._running.append(path)

        return hook

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._own | self._seen:
            self._seen.add(storage._cdata)
            self.by_module[self._running[-1]] += storage.nbytes()
        return tensor


def own_tensors(model: nn.Module) -> list[Tensor]:
    """Return parameters and buffers, tied ones once."""
    return [*model.parameters(), *model.buffers()]


def size_of(tensors: Iterable[Tensor]) -> int:
    """Add up storages, each once."""
    storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def inference_peak(model: nn.Module, call: Callable[[], Any], given: Iterable[Tensor]) -> int:
    """Return the most bytes that a call in inference holds, weights and input included."""
    live = Live()
    live.add([*own_tensors(model), *given])
    with torch.no_grad(), live:
        call()
    return live.most
