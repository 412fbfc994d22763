"""One call of a module taken out of a phase, so that it can be made again alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from modelbench.inputs.template import Template
from modelbench.measurement.profiling.calls import Calls

PLAIN = (Tensor, int, float, bool, str, type(None), torch.dtype, torch.device)


@dataclass(frozen=True)
class Captured:
    """A module with the arguments of one call."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __call__(self) -> Any:
        """Make the call."""
        return self.module(*self.args, **self.kwargs)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments."""
        return self._template.tensors

    @property
    def repeatable(self) -> bool:
        """Whether it takes nothing but tensors and numbers: a cache grows with each call."""
        return all(isinstance(leaf, PLAIN) for leaf in tree_leaves([self.args, dict(self.kwargs)]))

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return sum(t.nbytes for t in [*self.module.parameters(), *self.module.buffers()])

    def given(self, change: Callable[[Tensor], Tensor]) -> Captured:
        """Return it with other tensors."""
        template = self._template
        args, kwargs = template.fill([change(tensor) for tensor in template.tensors])
        return replace(self, args=args, kwargs=kwargs)

    @property
    def _template(self) -> Template:
        return Template((self.args, dict(self.kwargs)))

    def changed(self, change: Callable[[nn.Module], Any]) -> Captured:
        """Return it with a copy of the module that `change` was done to."""
        module = copy.deepcopy(self.module)
        made = change(module)
        return replace(self, module=made if isinstance(made, nn.Module) else module)


def capture(
    model: nn.Module, call: Callable[[], Any], paths: Collection[str]
) -> dict[str, Captured]:
    """Make the call, and return the first one of each module at `paths`, by path."""
    modules = dict(model.named_modules())
    names = list(modules)
    found: dict[str, Captured] = {}

    def look(number: int, args: Any, kwargs: Any, _: Any) -> None:
        path = names[number]
        if path in paths and path not in found:
            found[path] = Captured(modules[path], args, kwargs).given(_alike)

    rewind: Callable[[], None] = getattr(call, "rewind", lambda: None)
    rewind()
    with torch.inference_mode(), Calls(model, int, look):
        call()
    return found


def dense(tensor: Tensor) -> bool:
    """Return whether a tensor has its numbers at strides."""
    return not tensor.is_nested and tensor.layout is torch.strided


def _alike(tensor: Tensor) -> Tensor:
    """Return a copy with the same strides; one that lies on itself, such as an expanded, as is.

    So are nested and sparse ones, which have no strides.
    """
    if not dense(tensor):
        return tensor
    if any(stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
           if size > 1):  # fmt: skip
        return tensor
    made = torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
    )
    return made.copy_(tensor)


def capture_all(model: nn.Module, call: Callable[[], Any]) -> list[tuple[str, Captured]]:
    """Make the call; return the calls of modules that are within no other one, with their paths."""
    found: list[tuple[str, Captured]] = []
    depth = 0
    paths = {module: path for path, module in model.named_modules()}

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        nonlocal depth
        if depth == 0:
            found.append((paths[module], Captured(module, args, kwargs).given(_alike)))
        depth += 1

    def after(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    hooks = [
        hook
        for module in paths
        if not isinstance(module, torch.jit.ScriptModule)
        for hook in (
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, always_call=True),
        )
    ]
    rewind: Callable[[], None] = getattr(call, "rewind", lambda: None)
    rewind()
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            call()
    finally:
        for hook in hooks:
            hook.remove()
    return found
