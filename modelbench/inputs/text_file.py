"""A text of one's own: for the perplexity of a language model, or labelled lines of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.inputs.draw import Draw
from modelbench.inputs.image_folder import EVERY, check_classes, table_rows
from modelbench.inputs.text import Tokens

MASK = "attention_mask"
Part = tuple[Tensor, Tensor | None, Tensor | None]


@dataclass(frozen=True)
class TextFile:
    """A text file, cut into sequences of the model's length; or a CSV of texts and labels.

    It is tokenized by the tokenizer of the model's source, or by another one. Raises ValueError for
    what is no such file.
    """

    file: str
    tokenizer: str | None = None
    """Folder of a transformers tokenizer; None for that of the checkpoint."""
    classes: list[str] | None = None
    """Names of a table's labels in the order of the model's outputs; None for the alphabet's."""
    batch_size: int = 4
    argument: str | None = None
    """Of the model's forward; None for the one that is text."""
    source: Any = None
    masked: bool = True
    """Whether the model's forward takes an attention_mask, by which padding is left out."""

    def __post_init__(self) -> None:
        """Check that the file can be read."""
        file = Path(self.file)
        if not file.is_file():
            raise ValueError(f"file={self.file}: no such file")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: expected 1 or more")
        if self.labelled:
            check_classes(_labels(self.file), self.classes)
        else:
            _text(self.file)

    @property
    def labelled(self) -> bool:
        """Whether it is a table of texts with their labels."""
        return Path(self.file).suffix.lower() in {".csv", ".tsv"}

    @property
    def names(self) -> list[str]:
        """The classes' names of a table."""
        return self.classes or sorted(set(_labels(self.file)))

    def bound(self, sources: Mapping[str, Any]) -> TextFile:
        """Return it for a model with these input sources; raises ValueError without a text."""
        texts = {name: source for name, source in sources.items() if isinstance(source, Tokens)}
        name = self.argument or next(iter(texts), None)
        if name not in texts:
            given = ", ".join(f"{n}: {type(source).__name__}" for n, source in sources.items())
            raise ValueError(f"data: expected a model with a text as input, found {given}")
        bound = replace(self, argument=name, source=texts[name])
        if bound._tokenizer is None:
            raise ValueError(
                "data: the model's input has no tokenizer, without which a text means nothing to "
                "it; set data.tokenizer=FOLDER, or use a checkpoint that has one"
            )
        return bound

    def training(self, draw: Draw) -> Iterator[Batch]:
        """Yield batches in random order, without end."""
        part = self._part(draw, test=False)
        generator = torch.Generator().manual_seed(draw.seed)
        while True:
            order = torch.randperm(len(part[0]), generator=generator)
            for chosen in torch.split(order, self.batch_size):
                yield self._batch(part, chosen)

    def test(self, draw: Draw) -> Iterator[Batch]:
        """Yield what training does not see, once."""
        part = self._part(draw, test=True)
        for start in range(0, len(part[0]), self.batch_size):
            places = torch.arange(start, min(start + self.batch_size, len(part[0])))
            yield self._batch(part, places)

    @property
    def _tokenizer(self) -> str | None:
        return self.tokenizer or getattr(self.source, "tokenizer", None)

    def _batch(self, part: Part, places: Tensor) -> Batch:
        tokens, mask, labels = part
        given = {str(self.argument): tokens[places]}
        if mask is not None:
            given[MASK] = mask[places]
        return Batch((), given, None if labels is None else labels[places])

    def _part(self, draw: Draw, *, test: bool) -> Part:
        """Return tokens, their mask and their labels."""
        length = draw.sizes["sequence_length"]
        mask = labels = None
        if self.labelled:
            tokens, mask = _rows(self.file, str(self._tokenizer), length)
            places = {name: place for place, name in enumerate(self.names)}
            labels = torch.tensor([places[label] for label in _labels(self.file)])
        else:
            tokens = _sequences(self.file, str(self._tokenizer), length)
        kept = (torch.arange(len(tokens)) % EVERY == 0) == test
        if len(tokens) < EVERY:
            raise ValueError(
                f"data: {self.file} makes {len(tokens)} sequences of {length} tokens; expected "
                f"{EVERY} or more (a longer text, or a smaller sequence_length)"
            )
        if mask is not None:
            mask = mask[kept] if self.masked else None
        return tokens[kept], mask, None if labels is None else labels[kept]


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"file={file}: not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error


def _labels(file: str) -> list[str]:
    return [label for _, label in table_rows(Path(file), "a text and its label")]


@lru_cache(maxsize=2)
def _sequences(file: str, tokenizer: str, length: int) -> Tensor:
    """Return the whole text as `[n, length]` tokens; what is left at the end is dropped."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(tokenizer)(_text(file), verbose=False)["input_ids"]
    count = len(ids) // length
    return torch.tensor(ids[: count * length], dtype=torch.int64).reshape(count, length)


@lru_cache(maxsize=2)
def _rows(file: str, tokenizer: str, length: int) -> tuple[Tensor, Tensor]:
    """Return each row's text as `[n, length]` tokens, padded or cut, and their mask."""
    from transformers import AutoTokenizer

    texts = [text for text, _ in table_rows(Path(file), "a text and its label")]
    made = AutoTokenizer.from_pretrained(tokenizer)(
        texts, truncation=True, max_length=length, padding="max_length", return_tensors="pt"
    )
    return made["input_ids"], made["attention_mask"]
