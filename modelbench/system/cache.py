"""Where what is worth keeping between runs lies."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

FOLDER = "MODELBENCH_CACHE"
"""Environment variable: another folder than the user's cache."""


def cache_folder() -> Path:
    """Return the folder; it need not exist yet."""
    return Path(os.environ.get(FOLDER) or user_cache_path("modelbench"))
