"""The names that a library builds; asked once for each version, and kept. Imports no torch."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from modelbench.config.sections import first_line
from modelbench.results.json_file import write_json
from modelbench.system.cache import cache_folder

NEAREST = 3
"""Names that are proposed for one that does not exist."""


def entry(library: str, arch: str | None) -> dict[str, Any]:
    """Return what a library tells of one name; raises ValueError or LookupError."""
    if arch is None:
        raise ValueError(f"model.arch: missing; expected a {library} model, {_such(library)}")
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None:
        raise LookupError(
            f'model={library}: {library} is not installed; pip install -e ".[{library}]"'
        )
    version = importlib.metadata.version(library)
    file = cache_folder() / f"{library}-{version}.json"
    entries = _read(file)
    if str(arch) not in entries and _older(file, Path(spec.origin).parent / "models"):
        write_json(file, _ask(library))
        entries = _read(file)
    if str(arch) not in entries:
        close = difflib.get_close_matches(str(arch), entries, n=NEAREST, cutoff=0.5)
        hint = (
            f"; did you mean {' or '.join(close)}?"
            if close
            else f"; expected a name {_such(library)}"
        )
        raise ValueError(f"model.arch={arch}: unknown to {library} {version}{hint}")
    found: dict[str, Any] = entries[str(arch)]
    return found


def _such(library: str) -> str:
    return {"torchvision": "such as resnet50", "timm": "such as vit_tiny_patch16_224"}[library]


def _read(file: Path) -> dict[str, Any]:
    try:
        return _parsed(file, file.stat().st_mtime_ns)
    except (OSError, ValueError):  # not asked yet, or cut short
        return {}


@lru_cache(maxsize=4)
def _parsed(file: Path, changed: int) -> dict[str, Any]:  # noqa: ARG001  (a newer file is another)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _older(file: Path, sources: Path) -> bool:
    """Return whether a library's sources were changed since it was asked, or it never was."""
    if not _read(file):
        return True
    asked = file.stat().st_mtime
    return any(source.stat().st_mtime > asked for source in sources.rglob("*.py"))


def _ask(library: str) -> dict[str, Any]:
    """Let a process of its own import the library, which takes seconds."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "modelbench.models.builders.listing", library]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise LookupError(f"model={library}: cannot be imported: {said[-1]}")
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise LookupError(
            f"model={library}: returned no model list ({first_line(error)})"
        ) from error
    return found
