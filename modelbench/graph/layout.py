"""Graphviz, in a process that is ended when it takes too long."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass

INSTALL = (
    "install Graphviz (Debian and Ubuntu: apt install graphviz; Fedora: dnf install graphviz; "
    "macOS: brew install graphviz; Windows: winget install Graphviz.Graphviz; conda: conda install "
    "graphviz) and see that dot is on PATH"
)


class LayoutError(Exception):
    """There is no picture; the message says why, and what would help."""


@dataclass(frozen=True)
class Layout:
    """Graphviz as it is installed, or else its WebAssembly build, which draws SVG alone."""

    dot: str | None

    @classmethod
    def here(cls) -> Layout:
        """Look for Graphviz on PATH."""
        return cls(shutil.which("dot"))

    @property
    def formats(self) -> list[str]:
        """Name what can be drawn."""
        return ["svg", "png"] if self.dot else ["svg"]

    def draw(self, source: str, ending: str, timeout_s: float, dpi: int = 72) -> bytes:
        """Give the picture; raises LayoutError."""
        command = [self.dot] if self.dot else [sys.executable, "-m", "modelbench.graph.wasm"]
        try:
            done = subprocess.run(
                [*command, f"-T{ending}", f"-Gdpi={dpi}"],
                input=source.encode(), capture_output=True, timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LayoutError(f"Graphviz was not done with it in {timeout_s:g} s") from None
        except OSError as error:
            raise LayoutError(f"{command[0]} cannot be run ({error}); {INSTALL}") from None
        if done.returncode or not done.stdout:
            said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
            raise LayoutError(f"Graphviz failed: {said.splitlines()[-1]}")
        return done.stdout
