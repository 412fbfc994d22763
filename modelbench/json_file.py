"""Files of JSON that are never seen half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Replace `path` in one step: a reader sees the old file or the new, never half of one."""
    part = path.with_suffix(".part")
    # ensure_ascii stays on: a path may hold bytes that are no UTF-8, and JSON escapes them.
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
