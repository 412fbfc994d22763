"""A text of one's own: for the perplexity of a language model, or labelled lines of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from modelbench.inputs.image_folder import EVERY, check_classes, table_rows
from modelbench.inputs.texts import Part, Texts, on_end, padded


@dataclass(frozen=True, kw_only=True)
class TextFile(Texts):
    """A text file, cut into sequences of the model's length; or a CSV of texts and labels.

    Raises ValueError for what is no such file.
    """

    file: str

    def __post_init__(self) -> None:
        """Check that the file can be read."""
        file = Path(self.file)
        if not file.is_file():
            raise ValueError(f"file={self.file}: no such file")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size}: expected 1 or more")
        if self.labelled:
            check_classes(self._labels, self.classes)
        else:
            _text(self.file)

    @property
    def labelled(self) -> bool:
        """Whether it is a table of texts with their labels."""
        return Path(self.file).suffix.lower() in {".csv", ".tsv"}

    @property
    def names(self) -> list[str]:
        """The classes' names of a table."""
        return self.classes or sorted(set(self._labels))

    @property
    def _labels(self) -> list[str]:
        return [label for _, label in self._rows]

    @property
    def _rows(self) -> list[tuple[str, str]]:
        return table_rows(Path(self.file), "a text and its label")

    def part(self, length: int, *, test: bool) -> Part:
        """Return every fourth sequence or row, or the others."""
        mask = labels = None
        if self.labelled:
            texts = tuple(text for text, _ in self._rows)
            tokens, mask = padded(texts, str(self.own_tokenizer), length)
            places = {name: place for place, name in enumerate(self.names)}
            labels = torch.tensor([places[label] for label in self._labels])
        else:
            tokens = on_end(_text(self.file), str(self.own_tokenizer), length)
        kept = (torch.arange(len(tokens)) % EVERY == 0) == test
        if len(tokens) < EVERY:
            raise ValueError(
                f"data: {self.file} makes {len(tokens)} sequences of {length} tokens; expected "
                f"{EVERY} or more (a longer text, or a smaller sequence_length)"
            )
        return (
            tokens[kept],
            None if mask is None else mask[kept],
            None if labels is None else labels[kept],
        )


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"file={file}: not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error
