"""Labelled pictures of one's own: a folder of class folders, or a table of paths and labels."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from modelbench.inputs.batch import Batch
from modelbench.inputs.draw import Draw
from modelbench.inputs.image import Image
from modelbench.inputs.photographs import crop

log = logging.getLogger(__name__)

KINDS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
PARTS = {"training": ("train", "training"), "test": ("val", "validation", "valid", "test")}
"""Folders that part the pictures, where there are some; else every fourth is kept for testing."""
EVERY = 4
BROKEN = 0.01
"""Share of pictures that may be broken."""


@dataclass(frozen=True)
class ImageFolder:
    """Pictures in `FOLDER/CLASS/`, `FOLDER/train/CLASS/` and `FOLDER/val/CLASS/`, or of a CSV.

    Each is cut to its central square and resized, and normalised as the model's input source says.
    Raises ValueError for what is no such folder.
    """

    folder: str
    table: str | None = None
    """A CSV with a header, below the folder: a picture's path and its label in each row."""
    classes: list[str] | None = None
    """Names in the order of the model's outputs; None for the class folders' in the alphabet's."""
    batch_size: int = 16
    workers: int = 0
    """Processes that read ahead."""
    argument: str | None = None
    """Of the model's forward; None for the one that is an image."""
    source: Any = None

    def __post_init__(self) -> None:
        """Check that there are pictures, before anything else is done."""
        root = Path(self.folder)
        if not root.is_dir():
            raise ValueError(f"folder={self.folder}: no such folder")
        if self.batch_size < 1 or self.workers < 0:
            raise ValueError(
                f"batch_size={self.batch_size}, workers={self.workers}: expected 1 or more, and 0 "
                "or more"
            )
        found = _names(self.folder, self.table)
        listed = _listed(self.folder, self.table)
        if not (listed["training"] and listed["test"]):
            raise ValueError(
                f"folder={self.folder}: {len(listed['all'])} pictures are too few: every "
                f"{EVERY}th of a class is kept for testing, and none is left to train on"
            )
        check_classes(found, self.classes)

    def bound(self, sources: Mapping[str, Any]) -> ImageFolder:
        """Return it for a model with these input sources; raises ValueError without an image."""
        argument, source = image_source(sources, self.argument)
        return replace(self, argument=argument, source=source)

    @property
    def names(self) -> list[str]:
        """The classes' names, in the order of the labels."""
        return self.classes or _names(self.folder, self.table)

    def training(self, draw: Draw) -> Iterator[Batch]:
        """Yield batches in random order, without end."""
        rows = self._rows("training")
        generator = torch.Generator().manual_seed(draw.seed)
        while True:
            order = torch.randperm(len(rows), generator=generator).tolist()
            some = False
            for batch in self._batches([rows[place] for place in order], draw):
                some = True
                yield batch
            if not some:
                raise ValueError(f"none of the {len(rows)} pictures to train on can be read")

    def test(self, draw: Draw) -> Iterator[Batch]:
        """Yield what training does not see, once."""
        yield from self._batches(self._rows("test"), draw)

    def _rows(self, part: str) -> list[tuple[Path, int]]:
        names = {name: place for place, name in enumerate(self.names)}
        return [(path, names[name]) for path, name in _listed(self.folder, self.table)[part]]

    def _batches(self, rows: Sequence[tuple[Path, int]], draw: Draw) -> Iterator[Batch]:
        """Read pictures; those that are broken are left out, and too many raise ValueError."""
        pictures = _Pictures(rows, self.source, draw)
        loader: Any = DataLoader(
            pictures, self.batch_size, num_workers=self.workers, collate_fn=_together,
        )  # fmt: skip
        broken: list[str] = []
        for images, labels, failed in loader:
            broken += failed
            if len(broken) > max(1, BROKEN * len(rows)):
                raise ValueError(
                    f"{len(broken)} of {len(rows)} pictures cannot be read, over {BROKEN:.0%}: "
                    f"{'; '.join(broken[:3])}"
                )
            if len(labels):
                yield Batch((), {str(self.argument): images}, labels)
        for each in broken:
            log.warning("left out: %s", each)


def check_classes(found: Sequence[str], classes: Sequence[str] | None) -> None:
    """Raise ValueError where data have labels that are not among the model's classes."""
    unknown = sorted(set(found) - set(classes or found))
    if classes and unknown:
        more = ", ..." if len(classes) > 5 else ""
        raise ValueError(
            f"classes=[{', '.join(classes[:5])}{more}]: the data's {', '.join(unknown[:5])} "
            f"{'is' if len(unknown) == 1 else 'are'} not among them; data.classes=[...] gives the "
            "names in the order of the model's outputs, data.classes=null their own order"
        )


def image_source(sources: Mapping[str, Any], argument: str | None) -> tuple[str, Image]:
    """Return the argument that takes pictures, with its source; raises ValueError without one."""
    images = {name: source for name, source in sources.items() if isinstance(source, Image)}
    if argument in images:
        return argument, images[argument]
    if argument is None and len(images) == 1:
        return next(iter(images.items()))
    given = ", ".join(f"{name}: {type(source).__name__}" for name, source in sources.items())
    raise ValueError(
        f"data: expected a model with one image as input, found {given}; name it by data.argument, "
        "with a modelbench.inputs.Image as its source"
    )


class _Pictures(Dataset[Any]):
    """Reads one picture by its number."""

    def __init__(self, rows: Sequence[tuple[Path, int]], source: Image, draw: Draw) -> None:
        self._rows, self._source = rows, source
        self._size = source.size(draw)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> tuple[np.ndarray | None, int, str, Image]:
        path, label = self._rows[place]
        try:
            with Pillow.open(path) as picture:
                mode = "L" if self._source.channels == 1 else "RGB"
                return crop(picture.convert(mode), self._size, None), label, "", self._source
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            return None, label, f"{path}: {error}", self._source


def _together(
    read: Sequence[tuple[np.ndarray | None, int, str, Image]],
) -> tuple[Tensor, Tensor, list[str]]:
    good = [(pixels, label) for pixels, label, _, _ in read if pixels is not None]
    failed = [error for _, _, error, _ in read if error]
    labels = torch.tensor([label for _, label in good], dtype=torch.int64)
    if not good:
        return torch.empty(0), labels, failed
    return read[0][3].normalised([pixels for pixels, _ in good]), labels, failed


def _names(folder: str, table: str | None) -> list[str]:
    return sorted({name for _, name in _listed(folder, table)["all"]})


@lru_cache(maxsize=4)
def _listed(folder: str, table: str | None) -> dict[str, list[tuple[Path, str]]]:
    """Return the pictures with their class' names: all, those of training, those of testing."""
    root = Path(folder)
    if table is not None:
        return _parted(_of_table(root, root / table))
    for training in PARTS["training"]:
        for test in PARTS["test"]:
            if (root / training).is_dir() and (root / test).is_dir():
                first, second = _of_folders(root / training), _of_folders(root / test)
                return {"all": [*first, *second], "training": first, "test": second}
    return _parted(_of_folders(root))


def _parted(rows: list[tuple[Path, str]]) -> dict[str, list[tuple[Path, str]]]:
    """Keep every fourth of each class for testing."""
    seen: dict[str, int] = {}
    parts: dict[str, list[tuple[Path, str]]] = {"all": rows, "training": [], "test": []}
    for row in rows:
        seen[row[1]] = seen.get(row[1], -1) + 1
        parts["test" if seen[row[1]] % EVERY == 0 else "training"].append(row)
    return parts


def _of_folders(root: Path) -> list[tuple[Path, str]]:
    classes = sorted(each for each in root.iterdir() if each.is_dir() and each.name[0] != ".")
    if not classes:
        raise ValueError(
            f"folder={root}: expected a folder for each class with its pictures, found none; for a "
            "table of paths and labels set data.table=FILE.csv"
        )
    rows = []
    for each in classes:
        files = sorted(file for file in each.rglob("*") if file.suffix.lower() in KINDS)
        if not files:
            raise ValueError(f"folder={each}: a class without pictures; remove it, or fill it")
        rows += [(file, each.name) for file in files]
    return rows


def _of_table(root: Path, file: Path) -> list[tuple[Path, str]]:
    """Read a CSV whose delimiter is what its header has."""
    rows = table_rows(file, "a picture's path and its label")
    missing = [path for path, _ in rows[:1000] if not (root / path).is_file()]
    if missing:
        raise ValueError(
            f"table={file}: {len(missing)} of its pictures are not below {root}, first {missing[0]}"
        )
    return [(root / path, label) for path, label in rows]


def table_rows(file: Path, expected: str) -> list[tuple[str, str]]:
    """Return the first two columns below a header; raises ValueError for what is no such table."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"table={file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"table={file}: not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error
    lines = text.splitlines()
    delimiter = max(",;\t|", key=lines[0].count) if lines else ","
    table = list(csv.reader(lines, delimiter=delimiter))
    short = [number for number, row in enumerate(table, start=1) if row and len(row) < 2]
    if len(table) < 2 or short:
        where = f"line {short[0]} has one column" if short else "no rows below the header"
        raise ValueError(
            f"table={file}: {where}; expected two columns below a header, {expected}, parted by "
            "comma, semicolon, tab or |"
        )
    empty = [number for number, row in enumerate(table, start=1) if row and not row[1].strip()]
    if empty:
        raise ValueError(f"table={file}: line {empty[0]} has no label ({len(empty)} such lines)")
    return [(row[0].strip(), row[1].strip()) for row in table[1:] if row]
