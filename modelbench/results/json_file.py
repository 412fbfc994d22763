"""Files that are never seen half written."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

PATIENCE_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Between attempts to replace a file that a reader holds."""


def write_json(path: Path, content: Any) -> None:
    """Write JSON, as `write_text` does."""
    # ensure_ascii stays on: a path may hold bytes that are no UTF-8, and JSON escapes them.
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace `path` in one step: a reader sees the old file or the new, never half of one."""
    part = path.with_suffix(".part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
    except OSError:  # a full disk
        part.unlink(missing_ok=True)
        raise
    for wait_s in PATIENCE_S:
        with suppress(PermissionError):  # on Windows, while another program has it open
            part.replace(path)
            return
        sleep(wait_s)
    part.replace(path)
