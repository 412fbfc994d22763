"""The examples run as scripts and as notebooks, and the notebooks are the scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))
from notebooks import SCRIPTS, notebook  # type: ignore[import-not-found]  # noqa: E402

SAYS = {
    "own_module": "GMACs", "folder_of_images": "fp32: 9", "perplexity": "perplexity in fp32: ",
    "two_blocks": "times the time",
}  # fmt: skip


def test_every_example_has_its_notebook() -> None:
    """Cell by cell (python examples/notebooks.py writes them)."""
    scripts = {file.stem for file in EXAMPLES.glob("*.py")} - {"notebooks"}
    assert scripts == set(SCRIPTS) == set(SAYS)
    for name in SCRIPTS:
        kept: Any = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
        assert kept.cells == notebook(EXAMPLES / f"{name}.py").cells, name
        assert not any(cell.get("outputs") for cell in kept.cells)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_run(name: str, tmp_path: Path) -> None:
    """From an empty folder."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        check=True, capture_output=True, text=True, cwd=tmp_path, env={**os.environ},
    )  # fmt: skip
    assert SAYS[name] in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.filterwarnings("ignore")  # nbclient's and zmq's own
def test_notebooks_run(name: str, tmp_path: Path) -> None:
    """Cell by cell, with what a person would see as HTML."""
    from nbclient import NotebookClient

    made = notebook(EXAMPLES / f"{name}.py")
    NotebookClient(made, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert SAYS[name] in text
    if name != "two_blocks":
        pages = [output["data"]["text/html"] for output in outputs
                 if "text/html" in output.get("data", {})]  # fmt: skip
        assert any('class="modelbench"' in page for page in pages)
