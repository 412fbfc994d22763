"""A model in the form in which it would be deployed, and how much of it runs in low precision."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch


@dataclass(frozen=True)
class Coverage:
    """Which part of a model a scheme reached."""

    weights: int
    """Parameters stored in low precision."""
    of_weights: int
    """All parameters as converted; a tied one that became two counts twice."""
    computed: Mapping[str, float] | None
    """Path of each layer that multiplies in low precision -> the MACs of it that do, infinity where
    all do; None for all layers."""
    kept: tuple[str, ...] = ()
    """Layers with weights that stay in single precision, as 'Class path'."""

    @property
    def params(self) -> float:
        """The share of parameters, 0 to 1."""
        return self.weights / self.of_weights if self.of_weights else 0.0

    def macs(self, total: int, by_module: dict[str, int]) -> float:
        """Return the share of MACs, 0 to 1, where `by_module` has those of the model as built."""
        if self.computed is None:
            return 1.0
        reached: dict[str, float] = defaultdict(float)
        for path, macs in self.computed.items():
            reached[_known(path, by_module)] += macs
        # As converted, a layer may compute more than as built: zeros that fill up its kernel.
        low = sum(min(macs, by_module[path]) for path, macs in reached.items())
        return low / total if total else 0.0


def _known(path: str, by_module: Iterable[str]) -> str:
    """Return the layer as built that a layer as converted, or the one around it, stands for."""
    while path and path not in by_module:
        path = path.rpartition(".")[0]
    return path


def save_state(model: nn.Module, file: Path) -> None:
    """Write the weights."""
    torch.save(model.state_dict(), file)


def load_state(model: nn.Module, file: Path) -> nn.Module:
    """Return a copy of `model` whose every weight comes from the file."""
    loaded = copy.deepcopy(model)
    state = torch.load(file, weights_only=True)
    loaded.load_state_dict(state, strict=True, assign=True)
    return loaded


@dataclass
class ConvertedModel:
    """What a scheme made of a model; called with a batch's arguments, as the model is."""

    model: nn.Module
    coverage: Coverage
    chosen: str | None = None
    """Where a scheme chooses among several, the chosen one."""
    dtype: torch.dtype = torch.float32
    """Of its floating inputs."""
    quantized: bool = False
    fixed_sizes: bool = False
    """Whether it takes input of just the sizes that it was made with."""
    compiles: bool = False
    """Whether it is to be compiled before it is timed."""
    notes: list[str] = field(default_factory=list)
    products: int | None = None
    """Where it compiles, the products that the compiler is to make into ones of 8 bits."""
    saved: nn.Module | None = None
    """What the file holds, where that is not the model itself."""
    native: Callable[[], AbstractContextManager[object]] = nullcontext
    """Within it the model computes by itself, though a runtime runs it otherwise."""
    runtime: str | None = None
    """What runs it, where that is not PyTorch."""
    attachment: Any = None
    """How it does so."""
    reached: bool = False
    """Whether the compiler has compiled any of its calls."""
    suffix: str = ".pt"
    """Of the file."""
    save: Callable[[nn.Module, Path], None] = save_state
    load: Callable[[nn.Module, Path], Any] = load_state

    def batch(self, batch: Batch) -> Batch:
        """Return a batch in the model's precision."""

        def cast(tensor: Tensor) -> Tensor:
            # A model as built may be in double precision, and takes what it is given.
            low = self.dtype is not torch.float32
            return tensor.to(self.dtype) if low and tensor.is_floating_point() else tensor

        return batch.map(cast)
