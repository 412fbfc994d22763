"""The input of one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """The arguments of one forward call."""

    args: tuple[Tensor, ...]
    kwargs: Mapping[str, Tensor]
    labels: Tensor | None = None
    """What the outputs are to be, int64 `[batch_size]`, where the input is labelled data."""

    def call(self, function: Callable[..., Any]) -> Any:
        """Call `function` with this batch."""
        return function(*self.args, **self.kwargs)

    def named(self) -> dict[str, Tensor]:
        """Return every tensor under its argument's name, positional ones under their number."""
        return {**{str(i): tensor for i, tensor in enumerate(self.args)}, **self.kwargs}

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return a batch of what `function` makes of each tensor, but for the labels."""
        return self.holding({name: function(tensor) for name, tensor in self.named().items()})

    def joined(self, other: Batch, function: Callable[[Tensor, Tensor], Tensor]) -> Batch:
        """Return a batch of what `function` makes of each tensor and its namesake in `other`."""
        theirs = other.named()
        return self.holding({n: function(tensor, theirs[n]) for n, tensor in self.named().items()})

    def holding(self, tensors: Mapping[str, Tensor]) -> Batch:
        """Return a batch with other tensors under the same names."""
        args = tuple(tensors[str(i)] for i in range(len(self.args)))
        return Batch(args, {name: tensors[name] for name in self.kwargs}, self.labels)
