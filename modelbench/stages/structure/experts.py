"""How much of a mixture of experts a token meets, by what was multiplied."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from torch import nn

from modelbench.measurement.compute.layers import Layer


def idle_params(model: nn.Module, layers: list[Layer], macs: Mapping[str, int]) -> int:
    """Return the parameters of experts that a token does not multiply by, on average."""
    rows = {layer.path: _rows(layer.inputs) for layer in layers}
    idle = 0.0
    for path, experts, weights in _experts(model):
        tokens = rows.get(path.rpartition(".")[0], 0)  # of the block that sends them to experts
        spent = _spent(path, experts, macs)
        if tokens and spent:
            share = min(1.0, spent / (tokens * weights))
            idle += (1 - share) * sum(each.numel() for each in experts.parameters())
    return round(idle)


def _experts(model: nn.Module) -> Iterator[tuple[str, nn.Module, int]]:
    """Yield path, module and number of weights of all that holds experts side by side."""
    for path, module in model.named_modules():
        count = getattr(module, "num_experts", None)
        stacked = [p for p in module.parameters(recurse=False) if p.ndim == 3]
        if stacked and all(len(each) == count for each in stacked):
            yield path, module, sum(each.numel() for each in stacked)
        elif isinstance(module, nn.ModuleList) and path.rpartition(".")[2] == "experts":
            yield path, module, sum(p.numel() for p in module.parameters() if p.ndim == 2)


def _spent(path: str, experts: nn.Module, macs: Mapping[str, int]) -> int:
    if isinstance(experts, nn.ModuleList):  # which is not called itself
        return sum(macs.get(f"{path}.{name}", 0) for name, _ in experts.named_children())
    return macs.get(path, 0)


def _rows(inputs: str) -> int:
    """Count the vectors in the first of the shapes."""
    sizes = inputs.partition(",")[0].split("x")
    return math.prod(map(int, sizes[:-1])) if sizes[-1].isdigit() else 0
