"""A dataset of the library `datasets` that was saved to a folder: pictures with labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from modelbench.inputs.batch import Batch
from modelbench.inputs.draw import Draw
from modelbench.inputs.image_folder import check_classes, image_source
from modelbench.inputs.photographs import crop
from modelbench.inputs.saved_dataset import check_columns, class_names, places, saved_dataset


@dataclass(frozen=True)
class HfDataset:
    """What `save_to_disk` wrote, with one column of pictures and one of labels.

    Raises ValueError for what is no such folder, and without the library.
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
        columns = {"image": self.image, "label": self.label}
        check_columns(self.folder, columns, "; for texts, data=hf_text")
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
        return class_names(self.folder, self.label)

    def training(self, draw: Draw) -> Iterator[Batch]:
        """Yield batches in random order, without end."""
        rows = saved_dataset(self.folder)["training"]
        generator = torch.Generator().manual_seed(draw.seed)
        while True:
            order = torch.randperm(len(rows), generator=generator).tolist()
            for start in range(0, len(order), self.batch_size):
                yield self._batch(rows[order[start : start + self.batch_size]], draw)

    def test(self, draw: Draw) -> Iterator[Batch]:
        """Yield what training does not see, once."""
        rows = saved_dataset(self.folder)["test"]
        for start in range(0, len(rows), self.batch_size):
            yield self._batch(rows[start : start + self.batch_size], draw)

    def _batch(self, rows: Mapping[str, Sequence[Any]], draw: Draw) -> Batch:
        mode, size = "L" if self.source.channels == 1 else "RGB", self.source.size(draw)
        crops: list[np.ndarray] = [
            crop(each.convert(mode), size, None) for each in rows[self.image]
        ]
        labels = places(self.folder, self.label, rows[self.label], self.classes)
        given = {str(self.argument): self.source.normalised(crops)}
        return Batch((), given, torch.tensor(labels))
