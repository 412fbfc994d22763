"""Draws docs/images/layers.svg, the folders and their imports: python docs/layers.py.

The layers are those of the contract in pyproject.toml, top to bottom. An arrow that others imply
is left out, and so are those to `results` and `system`, which nearly every folder imports.
"""

from __future__ import annotations

import ast
from pathlib import Path

import grimp

from modelbench.measurement.graph.layout import Layout

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "modelbench"
EVERYWHERE = {"results", "system"}


def main() -> None:
    """Ask for the imports, and draw."""
    graph = grimp.build_graph("modelbench")
    folders = sorted(PACKAGE.glob("*/__init__.py"))
    rooms: dict[str, str] = {file.parent.name: _label(file.parent) for file in folders}
    arrows = {
        (one, other)
        for one in rooms
        for other in rooms
        if one != other and other not in EVERYWHERE
        and graph.direct_import_exists(
            importer=f"modelbench.{one}", imported=f"modelbench.{other}", as_packages=True
        )
    }  # fmt: skip
    lines = [
        "digraph {", "rankdir=TB; nodesep=0.35; ranksep=0.4;",
        'node [shape=box, style="rounded,filled", fillcolor="#eef3fa", color="#5b7ba5",'
        ' fontname=Arial, fontsize=12, margin="0.2,0.1"];',
        'edge [color="#5b7ba5", arrowsize=0.7];',
    ]  # fmt: skip
    lines += [f'"{name}" [label="{label}"];' for name, label in rooms.items()]
    lines += [f'"{name}" [fillcolor="#f5f1e6", color="#a58f5b"];' for name in EVERYWHERE]
    lines += [f'"{one}" -> "{other}";' for one, other in sorted(_reduced(arrows))]
    lines += ['{rank=same; "results" -> "system" [color="#a58f5b"];}', "}"]
    lines.insert(-1, '"config" -> "results" [style=invis];')
    picture = Layout.here().draw("\n".join(lines), "svg", 20)
    (ROOT / "docs" / "images" / "layers.svg").write_bytes(picture)


def _label(folder: Path) -> str:
    """Return a folder's name, what lives there, and how many files and lines."""
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    words = said.partition("\n")[0].rstrip(".").split()
    rows: list[str] = []
    row = ""
    for word in words:
        if len(row) + len(word) > 44:
            rows, row = [*rows, row], ""
        row = f"{row} {word}".strip()
    files = list(folder.rglob("*.py"))
    count = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    return "\\n".join([folder.name, *rows, row, f"{len(files)} files, {count:,} lines"])


def _reduced(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out each arrow beside which there is a longer way."""
    return {
        (one, other)
        for one, other in arrows
        if not any(_leads(arrows, via, other) for a, via in arrows if a == one and via != other)
    }


def _leads(arrows: set[tuple[str, str]], one: str, other: str) -> bool:
    return any(a == one and (b == other or _leads(arrows, b, other)) for a, b in arrows)


if __name__ == "__main__":
    main()
