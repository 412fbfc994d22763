"""Texts of one's own, as tokens: what a file and a saved dataset have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.inputs.draw import Draw
from modelbench.inputs.text import Tokens

MASK = "attention_mask"
Part = tuple[Tensor, Tensor | None, Tensor | None]
"""Tokens `[n, length]`, their mask if they are padded, and their labels if there are some."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts that are tokenized by the tokenizer of the model's source, or by another one."""

    tokenizer: str | None = None
    """Folder of a transformers tokenizer; None for that of the checkpoint."""
    classes: list[str] | None = None
    """Names of the labels in the order of the model's outputs; None for the data's own order."""
    batch_size: int = 4
    argument: str | None = None
    """Of the model's forward; None for the one that is text."""
    source: Any = None
    masked: bool = True
    """Whether the model's forward takes an attention_mask, by which padding is left out."""

    @property
    @abstractmethod
    def labelled(self) -> bool:
        """Whether each text has a label; else they are read on end, for perplexity."""

    @abstractmethod
    def part(self, length: int, *, test: bool) -> Part:
        """Return what is tested on, or the rest, in sequences of that length."""

    def bound(self, sources: Mapping[str, Any]) -> Self:
        """Return it for a model with these input sources; raises ValueError without a text."""
        texts = {name: source for name, source in sources.items() if isinstance(source, Tokens)}
        name = self.argument or next(iter(texts), None)
        if name not in texts:
            given = ", ".join(f"{n}: {type(source).__name__}" for n, source in sources.items())
            raise ValueError(f"data: expected a model with a text as input, found {given}")
        bound = replace(self, argument=name, source=texts[name])
        if bound.own_tokenizer is None:
            raise ValueError(
                "data: the model's input has no tokenizer, without which a text means nothing to "
                "it; set data.tokenizer=FOLDER, or use a checkpoint that has one"
            )
        return bound

    @property
    def own_tokenizer(self) -> str | None:
        """The tokenizer's folder."""
        return self.tokenizer or getattr(self.source, "tokenizer", None)

    def training(self, draw: Draw) -> Iterator[Batch]:
        """Yield batches in random order, without end."""
        part = self.part(draw.sizes["sequence_length"], test=False)
        generator = torch.Generator().manual_seed(draw.seed)
        while True:
            order = torch.randperm(len(part[0]), generator=generator)
            for chosen in torch.split(order, self.batch_size):
                yield self._batch(part, chosen)

    def test(self, draw: Draw) -> Iterator[Batch]:
        """Yield what training does not see, once."""
        part = self.part(draw.sizes["sequence_length"], test=True)
        for start in range(0, len(part[0]), self.batch_size):
            places = torch.arange(start, min(start + self.batch_size, len(part[0])))
            yield self._batch(part, places)

    def _batch(self, part: Part, places: Tensor) -> Batch:
        tokens, mask, labels = part
        given = {str(self.argument): tokens[places]}
        if mask is not None and self.masked:
            given[MASK] = mask[places]
        return Batch((), given, None if labels is None else labels[places])


@lru_cache(maxsize=2)
def on_end(text: str, tokenizer: str, length: int) -> Tensor:
    """Return a text as `[n, length]` tokens; what is left at the end is dropped."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(tokenizer)(text, verbose=False)["input_ids"]
    count = len(ids) // length
    return torch.tensor(ids[: count * length], dtype=torch.int64).reshape(count, length)


@lru_cache(maxsize=2)
def padded(texts: Sequence[str], tokenizer: str, length: int) -> tuple[Tensor, Tensor]:
    """Return each text as `[n, length]` tokens, padded or cut, and their mask."""
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(tokenizer)(
        list(texts), truncation=True, max_length=length, padding="max_length", return_tensors="pt"
    )
    return made["input_ids"], made["attention_mask"]
