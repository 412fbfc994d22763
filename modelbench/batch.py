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

    def call(self, function: Callable[..., Any]) -> Any:
        """Call `function` with this batch."""
        return function(*self.args, **self.kwargs)

    def named(self) -> dict[str, Tensor]:
        """Give every tensor under its argument's name, positional ones under their number."""
        return {**{str(i): tensor for i, tensor in enumerate(self.args)}, **self.kwargs}

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Give a batch of what `function` makes of each tensor."""
        kwargs = {name: function(tensor) for name, tensor in self.kwargs.items()}
        return Batch(tuple(map(function, self.args)), kwargs)
