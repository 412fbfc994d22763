"""The command that repeats a job or a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelbench.config import schema
from modelbench.results.commands import joined


def command_line(hydra_config: Any, *flags: str) -> str:
    """Write it as a person would type it."""
    words = ["python", "-m", "modelbench", *flags, *hydra_config.overrides.task]
    for folder in own_folders(hydra_config):
        words += ["--config-dir", str(folder)]
    return joined(words)


def own_folders(hydra_config: Any) -> list[Path]:
    """Return the folders of configurations beside our own."""
    sources = hydra_config.runtime.config_sources
    paths = [Path(source.path) for source in sources if source.schema == "file"]
    return [path for path in paths if path != schema.CONF]
