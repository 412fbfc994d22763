"""The words of a command line, parted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FOLDER = "--config-dir"


def parted(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Part overrides from folders of configurations."""
    overrides: list[str] = []
    folders: list[Path] = []
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name == FOLDER:
            folders.append(Path(value or next(rest, "")).absolute())
        else:
            overrides.append(word)
    return overrides, folders
