"""The command that repeats a job or a sweep."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from modelbench.config import schema


def command_line(hydra_config: Any, *flags: str) -> str:
    """Write it as a person would type it."""
    words = ["python", "-m", "modelbench", *flags, *hydra_config.overrides.task]
    for folder in own_folders(hydra_config):
        words += ["--config-dir", str(folder)]
    return _joined_for_windows(words) if sys.platform == "win32" else shlex.join(words)


def _joined_for_windows(words: list[str]) -> str:
    """Quote for cmd and PowerShell alike, of which the latter parts words at commas."""
    plain = re.compile(r"[\w./\\:=+-]+")
    quoted = ('"{}"'.format(word.replace('"', r"\"")) for word in words)
    return " ".join(w if plain.fullmatch(w) else q for w, q in zip(words, quoted, strict=True))


def own_folders(hydra_config: Any) -> list[Path]:
    """Return the folders of configurations beside our own."""
    sources = hydra_config.runtime.config_sources
    paths = [Path(source.path) for source in sources if source.schema == "file"]
    return [path for path in paths if path != schema.CONF]
