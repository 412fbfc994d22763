"""Graphviz, in a process that is ended when it takes too long."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass

from modelbench.measurement.graph import font

INSTALL = "pip install graphviz-pure, or install Graphviz and make sure that dot is on PATH"
MEASURED = "Arial"
"""What Graphviz takes a label to be written in: Arimo is as wide, and it knows Arial's widths."""


class LayoutError(Exception):
    """There is no picture; the message says why, and what would help."""


@dataclass(frozen=True)
class Layout:
    """Graphviz as its wheel brings it, the same on every system, or else as it is installed."""

    program: str | None

    @classmethod
    def here(cls) -> Layout:
        """Look for it beside this Python, then on PATH."""
        own = shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
        return cls(own or shutil.which("graphviz-pure") or shutil.which("dot"))

    def draw(self, source: str, ending: str, timeout_s: float, dpi: int = 72) -> bytes:
        """Return the picture; raises LayoutError."""
        if self.program is None:
            raise LayoutError(f"Graphviz was not found; {INSTALL}")
        try:
            done = subprocess.run(
                [self.program, f"-T{ending}", f"-Gdpi={dpi}"],
                input=source.encode(), capture_output=True, timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LayoutError(f"Graphviz did not finish in {timeout_s:g} s") from None
        except OSError as error:
            raise LayoutError(f"{self.program} cannot be run ({error}); {INSTALL}") from None
        if done.returncode or not done.stdout:
            said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
            raise LayoutError(f"Graphviz failed: {said.splitlines()[-1]}")
        return _with_font(done.stdout) if ending == "svg" else done.stdout


def _with_font(svg: bytes) -> bytes:
    """Let the picture bring its font along, so that it looks the same everywhere."""
    text = svg.replace(
        f'font-family="{MEASURED}"'.encode(), f'font-family="{font.FAMILY}"'.encode()
    )
    if text == svg:
        return svg
    brought = f"<defs><style>{font.style()}</style></defs>\n".encode()
    return re.sub(rb"(<svg[^>]*>\s*)", lambda found: found[1] + brought, text, count=1)
