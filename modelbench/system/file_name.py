"""Names of models and layers as names of files, on every system."""

from __future__ import annotations

import re

LONGEST = 100
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices."""


def file_name(text: str) -> str:
    """Turn a text into one name of a file or folder, which stays in the folder it is put in."""
    name = re.sub(r"[^\w.+-]", "_", text)[:LONGEST].rstrip(". ").lstrip(".") or "_"
    return f"_{name}" if RESERVED.fullmatch(name) else name
