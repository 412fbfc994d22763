"""Overrides as Hydra's grammar wants them."""

from __future__ import annotations

import re


def quoted(text: str) -> str:
    """Quote a value for Hydra's grammar."""
    return "'" + text.replace("'", "\\'") + "'"


def with_number(text: str) -> list[str]:
    """Take `device=cuda:1` for what it means: the option, and which of its devices."""
    found = re.fullmatch(r"device=((\w+):\d+)", text)
    return [f"device={found[2]}", f"device.name={found[1]}"] if found else [text]
