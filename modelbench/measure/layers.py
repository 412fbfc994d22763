"""The modules of a model as they really ran."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modelbench.tensors import named_tensors


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


def trace_layers(model: nn.Module, call: Callable[[], Any]) -> list[Layer]:
    """Run `call` once and give every module of `model`, in the order of definition."""
    layers = {
        path: Layer(
            path,
            type(module).__name__,
            not any(True for _ in module.children()),
            sum(parameter.numel() for parameter in module.parameters(recurse=False)),
        )
        for path, module in model.named_modules()
    }

    def note(layer: Layer) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            layer.calls += 1
            if layer.calls == 1:
                layer.inputs, layer.outputs = shapes([args, kwargs]), shapes(output)

        return hook

    hooks = [
        module.register_forward_hook(note(layers[path]), with_kwargs=True)
        for path, module in model.named_modules()
    ]
    try:
        with torch.inference_mode():
            call()
    finally:
        for hook in hooks:
            hook.remove()
    return list(layers.values())


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
