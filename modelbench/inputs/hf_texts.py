"""Texts of a dataset of the library `datasets` that was saved to a folder."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from modelbench.inputs.image_folder import check_classes
from modelbench.inputs.saved_dataset import check_columns, class_names, places, saved_dataset
from modelbench.inputs.texts import Part, Texts, on_end, padded


@dataclass(frozen=True, kw_only=True)
class HfTexts(Texts):
    """What `save_to_disk` wrote: a column of texts, and one of labels if they are to be told apart.

    Raises ValueError for what is no such folder, and without the library.
    """

    folder: str
    text: str = "text"
    """The column of texts."""
    label: str | None = None
    """The column of labels; None for texts that are read on end."""

    def __post_init__(self) -> None:
        """Check the folder and its columns."""
        named = {"text": self.text, "label": self.label}
        check_columns(self.folder, {key: name for key, name in named.items() if name is not None})
        if self.label is not None and (own := class_names(self.folder, self.label)):
            check_classes(own, self.classes)

    @property
    def labelled(self) -> bool:
        """Whether each text has a label."""
        return self.label is not None

    @property
    def names(self) -> list[str]:
        """The classes' names in the order of the labels, where the dataset has them."""
        return self.classes or (class_names(self.folder, self.label) if self.label else [])

    def part(self, length: int, *, test: bool) -> Part:
        """Return the dataset's own part."""
        rows = saved_dataset(self.folder)["test" if test else "training"]
        texts, tokenizer = tuple(map(str, rows[self.text])), str(self.own_tokenizer)
        if self.label is None:
            tokens = on_end("\n\n".join(texts), tokenizer, length)
            if not len(tokens):
                raise ValueError(
                    f"data: the texts of {self.folder} are shorter than {length} tokens in all; "
                    "expected more text, or a smaller sequence_length"
                )
            return tokens, None, None
        tokens, mask = padded(texts, tokenizer, length)
        labels = places(self.folder, self.label, rows[self.label], self.classes)
        return tokens, mask, torch.tensor(labels)
