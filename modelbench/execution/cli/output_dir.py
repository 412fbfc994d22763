"""The folder of a job or sweep."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path


def reserve(folder: Path, *, named: bool) -> tuple[Path, str | None]:
    """Make a folder that nobody else has, by a number at its end where need be.

    One that the user `named` is taken as it is. Returns the folder, and what is wrong with it.
    """
    try:
        folder = _make(folder, exist_ok=named)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".modelbench-"):
            return folder, None
    except OSError as error:
        return folder, (
            f"output folder {folder}: not writable ({error.strerror}); choose another with "
            "hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER for a sweep"
        )


def _make(folder: Path, *, exist_ok: bool) -> Path:
    for number in itertools.count(1):
        place = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            place.mkdir(parents=True, exist_ok=exist_ok)
        except FileExistsError:
            if exist_ok:
                raise
            continue
        return place
    raise AssertionError("unreachable")
