"""A text with placeholders, in whose place a model puts what it sees or hears."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modelbench.inputs.draw import Draw
from modelbench.inputs.text import Tokens


@dataclass(frozen=True)
class Prompt(Tokens):
    """Token ids: int64, placeholders and then `sequence_length` of a text.

    `around` are the tokens before and behind the placeholders, as processors lay them.
    """

    placeholder: int = 0
    around: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    count: int | None = None
    """Placeholders of a sample; where it is not given, `asks` tells."""
    step: int | None = None
    """Pixels for which there is one, along either side of an image: they grow with it."""
    asks: str | None = None
    """The model's method that gives what the placeholders stand for."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return (*super().axes(), "image_size") if self.step else super().axes()

    def __call__(self, draw: Draw) -> Tensor:
        """Lay the placeholders before the text."""
        text = super().__call__(draw)
        count = (draw.sizes["image_size"] // self.step) ** 2 if self.step else self.count or 0
        before, behind = self.around
        row = torch.tensor([*before, *[self.placeholder] * count, *behind], dtype=torch.int64)
        return torch.cat([row.expand(len(text), -1), text], dim=1)

    @torch.no_grad()
    def counted(self, model: Any, given: Mapping[str, Tensor]) -> int | None:
        """Ask the model for how many placeholders a sample has features, by the other inputs.

        None where nothing is to be asked.
        """
        if self.asks is None:
            return self.count
        ask = getattr(model, self.asks, None) or getattr(model.model, self.asks)
        takes = inspect.signature(ask).parameters
        found = ask(**{name: tensor for name, tensor in given.items() if name in takes})
        for name in ("pooler_output", "last_hidden_state"):
            found = getattr(found, name, None) if getattr(found, name, None) is not None else found
        features: list[Tensor] = list(found) if isinstance(found, list | tuple) else [found]
        rows = sum(each.numel() // each.shape[-1] for each in features)
        return rows // len(next(iter(given.values())))


@dataclass(frozen=True)
class Placeholders(Prompt):
    """Which tokens of such a prompt are placeholders: int64, 1 there and 0 elsewhere."""

    def __call__(self, draw: Draw) -> Tensor:
        """Mark them."""
        return (super().__call__(draw) == self.placeholder).long()

    def note(self, draw: Draw) -> str:  # noqa: ARG002
        """Return nothing: the prompt has its own."""
        return ""
