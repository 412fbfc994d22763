"""A dataset of the library `datasets` that was saved to a folder: pictures or texts with labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelbench.inputs.batch import Batch
from modelbench.inputs.draw import Draw
from modelbench.inputs.image_folder import EVERY, check_classes, image_source
from modelbench.inputs.photographs import crop

TEST = ("test", "validation", "val")


@dataclass(frozen=True)
class HfDataset:
    """What `save_to_disk` wrote, with one column of pictures and one of labels.

    Its parts are `train` and `test` or `validation`, where it has such; else every fourth row is
    kept for testing. Raises ValueError for what is no such folder, and LookupError without the
    library.
    """

    folder: str
    image: str = "image"
    """The column of pictures."""
    label: str = "label"
    classes: list[str] | None = None
    """Names in the order of the model's outputs; None for the dataset's own order."""
    batch_size: int = 16
    argument: str | None = None
    """Of the model's forward; None for the one that is an image."""
    source: Any = field(default=None)

    def __post_init__(self) -> None:
        """Check the folder and its columns."""
        if not Path(self.folder).is_dir():
            raise ValueError(f"folder={self.folder}: no such folder")
        columns = _loaded(self.folder)["test"].column_names
        missing = [name for name in (self.image, self.label) if name not in columns]
        if missing:
            raise ValueError(
                f"folder={self.folder}: no column {', '.join(missing)}; it has "
                f"{', '.join(columns)} (data.image, data.label)"
            )
        if self._own_names:
            check_classes(self._own_names, self.classes)

    def bound(self, sources: Mapping[str, Any]) -> HfDataset:
        """Return it for a model with these input sources; raises ValueError without an image."""
        argument, source = image_source(sources, self.argument)
        return replace(self, argument=argument, source=source)

    @property
    def names(self) -> list[str]:
        """The classes' names in the order of the labels, where the dataset has them."""
        return self.classes or self._own_names

    @property
    def _own_names(self) -> list[str]:
        return list(getattr(_loaded(self.folder)["test"].features[self.label], "names", []))

    def training(self, draw: Draw) -> Iterator[Batch]:
        """Yield batches in random order, without end."""
        rows = _loaded(self.folder)["training"]
        generator = torch.Generator().manual_seed(draw.seed)
        while True:
            order = torch.randperm(len(rows), generator=generator).tolist()
            for start in range(0, len(order), self.batch_size):
                yield self._batch(rows[order[start : start + self.batch_size]], draw)

    def test(self, draw: Draw) -> Iterator[Batch]:
        """Yield what training does not see, once."""
        rows = _loaded(self.folder)["test"]
        for start in range(0, len(rows), self.batch_size):
            yield self._batch(rows[start : start + self.batch_size], draw)

    def _batch(self, rows: Mapping[str, Sequence[Any]], draw: Draw) -> Batch:
        mode, size = "L" if self.source.channels == 1 else "RGB", self.source.size(draw)
        crops: list[np.ndarray] = [
            crop(each.convert(mode), size, None) for each in rows[self.image]
        ]
        labels = torch.tensor([self._place(label) for label in rows[self.label]])
        return Batch((), {str(self.argument): self.source.normalised(crops)}, labels)

    def _place(self, label: int) -> int:
        own = self._own_names
        if label < 0:
            raise ValueError(f"folder={self.folder}: a row of {self.label} has no label ({label})")
        return self.classes.index(own[label]) if self.classes and own else label


@lru_cache(maxsize=2)
def _loaded(folder: str) -> dict[str, Any]:
    try:
        from datasets import load_from_disk
    except ModuleNotFoundError as error:
        raise ValueError(
            'data=hf needs the library datasets, which is not installed: pip install -e ".[hf]"'
        ) from error
    try:
        found = load_from_disk(folder)
    except FileNotFoundError as error:
        raise ValueError(
            f"folder={folder}: not a dataset that save_to_disk wrote ({error})"
        ) from error
    if not hasattr(found, "keys"):
        places = range(len(found))
        return {
            "training": found.select([place for place in places if place % EVERY]),
            "test": found.select([place for place in places if not place % EVERY]),
        }
    test = next((name for name in TEST if name in found), None)
    if "train" not in found or test is None:
        raise ValueError(
            f"folder={folder}: its parts are {', '.join(found)}; expected train and one of "
            f"{', '.join(TEST)}"
        )
    return {"training": found["train"], "test": found[test]}
