"""The font of the pictures, embedded so that a label has the same width on every machine.

Arimo (OFL 1.1, see LICENSE beside this file), which is as wide as Arial; Latin letters alone.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("arimo.woff")
FAMILY = "Arimo,Arial,Helvetica,sans-serif"


@cache
def style() -> str:
    """Return the CSS that brings the font along with a picture."""
    data = b64encode(FILE.read_bytes()).decode("ascii")
    source = f"url(data:font/woff;base64,{data}) format('woff')"
    return f"@font-face{{font-family:Arimo;src:{source}}}"
