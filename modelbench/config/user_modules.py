"""Modules of the user's own, beside the configurations that name them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def make_importable(folders: Sequence[Path]) -> None:
    """Let a `_target_` name a module that stands beside the user's configurations."""
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
