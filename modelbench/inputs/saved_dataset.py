"""A folder that `save_to_disk` of the library `datasets` wrote, in its parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from modelbench.inputs.image_folder import EVERY

TEST = ("test", "validation", "val")


@lru_cache(maxsize=2)
def saved_dataset(folder: str) -> dict[str, Any]:
    """Return `training` and `test`.

    Those are its parts `train` and `test` or `validation`, where it has such; else every fourth row
    is kept for testing. Raises ValueError for what is no such folder, or without the library.
    """
    if not Path(folder).is_dir():
        raise ValueError(f"folder={folder}: no such folder")
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


def check_columns(folder: str, columns: dict[str, str], otherwise: str = "") -> None:
    """Raise ValueError where a column, by the key that names it, is none of the dataset's."""
    there = saved_dataset(folder)["test"].column_names
    missing = {key: name for key, name in columns.items() if name not in there}
    if missing:
        raise ValueError(
            f"folder={folder}: no column {', '.join(missing.values())}; it has {', '.join(there)} "
            f"({', '.join(f'data.{key}' for key in missing)}{otherwise})"
        )


@lru_cache(maxsize=4)
def class_names(folder: str, label: str) -> list[str]:
    """Return the names of a column of labels, in their order; none where they are numbers alone."""
    parts = saved_dataset(folder)
    column = parts["test"].features[label]
    if getattr(column, "dtype", None) in {"string", "large_string"}:
        told = {each for part in parts.values() for each in part[label] if each is not None}
        return sorted(told)
    return list(getattr(column, "names", []))


def places(
    folder: str, label: str, values: Sequence[int | str | None], classes: list[str] | None
) -> list[int]:
    """Return labels' places among the model's outputs; raises ValueError for one that is none."""
    own = class_names(folder, label)
    outputs = {name: place for place, name in enumerate(classes or own)}
    found = []
    for value in values:
        if value is None or (isinstance(value, int) and value < 0):
            raise ValueError(f"folder={folder}: a row of {label} has no label ({value})")
        name = value if isinstance(value, str) else own[value] if own else None
        found.append(int(value) if name is None else outputs[name])
    return found
