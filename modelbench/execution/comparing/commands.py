"""Command lines as a person or a document gives them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

OURS = re.compile(r"tracker=|hydra\.run\.dir=|hydra\.sweep\.dir=|resume=|order=")
"""Overrides that say where results go, and not what is measured."""
FOLDER = "--config-dir"


def words_of(command: str) -> list[str]:
    """Return the words after `python -m modelbench`, less those that say where results go."""
    words = shlex.split(command, posix=sys.platform != "win32")
    words = [word.strip('"') for word in words]
    if words[1:3] == ["-m", "modelbench"]:
        words = words[3:]
    elif words and Path(words[0]).stem == "modelbench":
        words = words[1:]
    return [word for word in words if not OURS.match(word)]


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
