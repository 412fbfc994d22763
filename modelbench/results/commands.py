"""Command lines as a person or a document gives them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import PurePath

OURS = re.compile(r"tracker=|hydra\.run\.dir=|hydra\.sweep\.dir=|resume=|retry=|order=")
"""Overrides that say where results go, and not what is measured."""


def words_of(command: str) -> list[str]:
    """Return the words after `python -m modelbench`, less those that say where results go."""
    words = _split_for_windows(command) if sys.platform == "win32" else shlex.split(command)
    if words[1:3] == ["-m", "modelbench"]:
        words = words[3:]
    elif words and PurePath(words[0]).stem == "modelbench":
        words = words[1:]
    return [word for word in words if not OURS.match(word)]


def joined(words: Sequence[str]) -> str:
    """Write words as a person would type them, quoted for the shells of this system."""
    return joined_for_windows(words) if sys.platform == "win32" else shlex.join(words)


def joined_for_windows(words: Sequence[str]) -> str:
    """Quote for cmd and PowerShell alike, of which the latter parts words at commas."""
    plain = re.compile(r"[\w./\\:=+-]+")
    quoted = ('"{}"'.format(word.replace('"', r"\"")) for word in words)
    return " ".join(w if plain.fullmatch(w) else q for w, q in zip(words, quoted, strict=True))


def _split_for_windows(command: str) -> list[str]:
    """Split what was joined: backslashes are those of paths, but for one before a quote."""
    lexer = shlex.shlex(command.replace(r"\"", "\0"), posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    return [word.replace("\0", '"') for word in lexer]
