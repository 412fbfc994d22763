"""The modules of a model as they really ran."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from modelbench.inputs.tensors import named_tensors


@dataclass
class Layer:
    """One module; shapes are those of its first call."""

    path: str
    kind: str
    leaf: bool
    params: int
    """Parameters of its own, those of its children left out."""
    calls: int = 0
    inputs: str = ""
    outputs: str = ""
    output_bytes: int = 0
    """Of all its calls."""


def trace_layers(model: nn.Module, call: Callable[[], Any]) -> list[Layer]:
    """Run `call` once and give every module of `model`, in the order of definition.

    A scripted one is given as a whole: what runs within it is no module of Python's.
    """
    inside = _inside_scripts(model)
    layers = {
        module: _layer(path, module)
        for path, module in model.named_modules()
        if module not in inside
    }

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        layer = layers.get(module)
        if layer is None:
            return
        layer.calls += 1
        layer.output_bytes += sum(tensor.nbytes for tensor in named_tensors(output).values())
        if layer.calls == 1:
            layer.inputs, layer.outputs = shapes([args, kwargs]), shapes(output)

    # Of all modules at once: a scripted one takes no hook of its own.
    hook = register_module_forward_hook(note, with_kwargs=True)
    try:
        with torch.inference_mode():
            call()
    finally:
        hook.remove()
    return list(layers.values())


def scripts(model: nn.Module) -> dict[str, nn.Module]:
    """Return the scripted and traced modules that stand in no other such module, by path."""
    inside = _inside_scripts(model)
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, torch.jit.ScriptModule) and module not in inside
    }


def _inside_scripts(model: nn.Module) -> set[nn.Module]:
    outer = [m for m in model.modules() if isinstance(m, torch.jit.ScriptModule)]
    return {inner for module in outer for inner in module.modules() if inner is not module}


def _layer(path: str, module: nn.Module) -> Layer:
    whole = isinstance(module, torch.jit.ScriptModule)
    leaf = whole or not any(True for _ in module.children())
    params = sum(parameter.numel() for parameter in module.parameters(recurse=whole))
    return Layer(path, type(module).__name__, leaf, params)


def shapes(value: Any) -> str:
    """Write the shapes of all tensors in `value` as '1x3x256x256, 1x77'."""
    return ", ".join("x".join(map(str, t.shape)) or "scalar" for t in named_tensors(value).values())


def write_table(layers: list[Layer], macs: Mapping[str, int], file: Path) -> None:
    """Write the layer table as CSV, one row a module."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["layer", "class", "calls", "inputs", "outputs", "own_params", "macs"])
        for layer in layers:
            row = [layer.path or "(model)", layer.kind, layer.calls, layer.inputs, layer.outputs]
            table.writerow([*row, layer.params, macs.get(layer.path, 0)])
