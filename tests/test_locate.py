"""Targets are found, or what is wrong is said, without importing anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from modelbench.config.locate import unlocatable
from modelbench.config.targets import signature_errors


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
    assert unlocatable(target) is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.Net", "no module 'nowhere' is installed"),
        ("SimpleCNN", "expected package.module.Name"),
        ("a b.c", "expected package.module.Name"),
        ("", "expected package.module.Name"),
    ],
)
def test_what_does_not_exist_is_explained(target: str, message: str) -> None:
    """The explanation names what was meant, where something is close."""
    found = unlocatable(target)
    assert found is not None
    assert message in found


def test_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a module of the user's own, also one that no statement could import."""
    (tmp_path / "own.py").write_text("import sys\nsys.exit('imported')\n")
    (tmp_path / "my-net.py").write_text("class Net: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert unlocatable("own.Net") is None
    assert unlocatable("my-net.Net") is None
    assert not {"own", "my-net"} & set(sys.modules)


def test_the_worker_finds_what_a_package_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line: what hides a module, what is near, what is no callable, what was raised."""
    (tmp_path / "made").mkdir()
    files = {
        "__init__.py": "from .net import *\ndef __getattr__(name): raise AttributeError(name)\n",
        "net.py": "def net(): ...\nclass Net: ...\n",
        "plain.py": "NUMBER = 3\n",
        "broken.py": "import nowhere_at_all\n",
        "wrong.py": "class Net:\n    def forward(self:\n",
    }
    for name, text in files.items():
        (tmp_path / "made" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    wanted = {
        "made.net.Net": "made.net is a function that shadows the module of that name; made.Net can",
        "made.Nett": "made has no 'Nett'; did you mean made.Net?",
        "made.plian.NUMBER": "made has no 'plian'; did you mean made.plain?",
        "made.net.Nett": "made.net is a function that shadows the module of that name",
        "made.wrong.Net": "cannot be imported: SyntaxError",
        "modelbench.models.cnn.SimpelCNN": "modelbench.models.cnn has no 'SimpelCNN'; did you mean "
        "modelbench.models.cnn.SimpleCNN?",
        "modelbench.modells.cnn.SimpleCNN": "modelbench has no 'modells'; did you mean",
        "made.plain": "this is a module; expected a class or function",
        "made.plain.NUMBER": "this is of type int; expected a class or function",
        "made.broken.Net": "cannot be imported: ModuleNotFoundError: No module named 'nowhere_at",
    }
    for target, message in wanted.items():
        (said,) = signature_errors("model.build", {"_target_": target})
        assert said.startswith(f"model.build._target_={target}: {message}"), said
        assert "\n" not in said
