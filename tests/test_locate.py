"""Targets are found, or what is wrong is said, without importing anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from modelbench.locate import trouble


@pytest.mark.parametrize(
    "target",
    [
        "modelbench.models.cnn.SimpleCNN",
        "modelbench.inputs.Image.axes",
        "transformers.ResNetForImageClassification",
        "torch.nn.Linear",
        "torch.optim.AdamW",
        "collections.OrderedDict",
        "math.sqrt",
        "os.path.join",
        "json.loads",
    ],
)
def test_what_exists_is_no_trouble(target: str) -> None:
    """Ours, lazy modules, compiled ones, the standard library's."""
    assert trouble(target) is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.Net", "no module 'nowhere' is installed"),
        ("modelbench.modells.Net", "did you mean"),
        ("modelbench.models.cnn.SimpelCNN", "did you mean modelbench.models.cnn.SimpleCNN?"),
        ("modelbench.models.cnn", "this is a module"),
        ("SimpleCNN", "expected package.module.Name"),
        ("a b.c", "expected package.module.Name"),
        ("", "expected package.module.Name"),
    ],
)
def test_what_does_not_exist_is_explained(target: str, message: str) -> None:
    """The explanation names what was meant, where something is close."""
    found = trouble(target)
    assert found is not None
    assert message in found


def test_a_module_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in branches count, names in functions do not, and nothing is run."""
    (tmp_path / "own.py").write_text(
        "import sys\nsys.exit('imported')\nif True:\n    class Net: ...\nelse:\n    Other = 1\n"
        "def build():\n    hidden = 1\nfrom math import sqrt as root\n"
    )
    (tmp_path / "starred.py").write_text("from math import *\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("Net", "Other", "build", "root"):
        assert trouble(f"own.{name}") is None
    assert "own has no 'hidden'" in str(trouble("own.hidden"))
    assert trouble("starred.anything") is None
    assert "own" not in sys.modules
