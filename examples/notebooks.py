"""Write the notebooks from the scripts beside this one: python examples/notebooks.py."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

HERE = Path(__file__).parent
SCRIPTS = ("own_module", "folder_of_images", "perplexity", "two_blocks")


def notebook(script: Path) -> nbformat.NotebookNode:
    """Return a script's cells, parted by `# %%`, as a notebook that has not been run."""
    cells = []
    _, *parts = re.split(r"^# %%(.*)$", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for number, (kind, text) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        if "markdown" in kind:
            lines = [line.removeprefix("#").removeprefix(" ") for line in text.strip().splitlines()]
            cell = nbformat.v4.new_markdown_cell("\n".join(lines))
        else:
            cell = nbformat.v4.new_code_cell(text.strip())
        cell["id"] = f"cell-{number}"
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


if __name__ == "__main__":
    for name in SCRIPTS:
        nbformat.write(notebook(HERE / f"{name}.py"), HERE / f"{name}.ipynb")
