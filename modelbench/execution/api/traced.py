"""One call of a module in the caller's process, which it leaves as it was."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.measurement.compute.flops import Macs, count_macs
from modelbench.measurement.compute.layers import trace_layers


@dataclass(frozen=True)
class Row:
    """One module, or the whole under ''."""

    path: str
    kind: str
    depth: int
    inputs: str
    """Shapes at its first call."""
    outputs: str
    params: int
    """Of it and all below it; a shared one counts once."""
    macs: int
    """Of all its calls, and of all below it."""
    activations: int
    """Bytes of its outputs, of all calls; of a module with children those of the children."""
    calls: int


def traced(module: nn.Module, inputs: Any) -> tuple[list[Row], Mapping[str, int]]:
    """Return a row for each module, and what the MACs leave out."""
    args, kwargs = arguments(inputs)
    counted: list[Macs] = []

    def call() -> None:  # once for all: a large model's call takes longer than all else
        # Not in inference mode, whose tensors a module may keep, and could not be trained with.
        with torch.inference_mode(mode=False), torch.no_grad():
            counted.append(count_macs(module, lambda: module(*args, **kwargs)))

    with _evaluating(module), torch.random.fork_rng(_accelerators(module)):
        try:
            layers = trace_layers(module, call)
        except Exception as error:
            error.add_note(_takes(module, args, kwargs))
            raise
    (macs,) = counted
    by_path = {layer.path: layer for layer in layers}
    sizes: dict[str, int] = {}
    for layer in (layer for layer in layers if layer.leaf):
        steps = layer.path.split(".") if layer.path else []
        for depth in range(len(steps) + 1):  # what it puts out is also that of all around it
            outer = ".".join(steps[:depth])
            sizes[outer] = sizes.get(outer, 0) + layer.output_bytes
    rows = []
    for path, part in module.named_modules():
        if (ran := by_path.get(path)) is None:
            continue
        rows.append(Row(
            path, ran.kind, path.count(".") + 1 if path else 0, ran.inputs, ran.outputs,
            sum(parameter.numel() for parameter in part.parameters()),
            macs.by_module.get(path, 0), sizes.get(path, 0), ran.calls,
        ))  # fmt: skip
    return rows, macs.uncounted


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and named arguments of a tensor, a tuple or a mapping."""
    if isinstance(inputs, Tensor):
        return (inputs,), {}
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, Sequence) and not isinstance(inputs, str):
        return tuple(inputs), {}
    raise TypeError(
        f"inputs: found {type(inputs).__name__}, expected a tensor, a tuple of arguments, or a "
        "mapping of them"
    )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _accelerators(module: nn.Module) -> list[torch.device]:
    """Return the devices whose random numbers a call may draw."""
    tensors = [*module.parameters(), *module.buffers()]
    return list({tensor.device for tensor in tensors if tensor.device.type == "cuda"})


def _takes(module: nn.Module, args: Any, kwargs: Any) -> str:
    """Return what forward takes, and what it was given."""
    given = [str(list(value.shape)) for value in args if isinstance(value, Tensor)]
    given += [f"{n}={list(v.shape)}" for n, v in kwargs.items() if isinstance(v, Tensor)]
    takes = ", ".join(map(str, inspect.signature(module.forward).parameters.values()))
    return f"{type(module).__name__}.forward takes ({takes}), and was given {', '.join(given)}"
