"""Targets are found, or what is wrong is said, without importing anything."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from modelbench.config.locate import trouble
from modelbench.config.targets import misfits


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


PACKAGE = {
    "__init__.py": (
        "from typing import TYPE_CHECKING\nimport os.path as where\nimport own.plain.deep\n"
        "from . import plain\nfrom .hidden import *\nfrom .plain import Net as Alias\n"
        "try:\n    from nowhere import Fast\nexcept ImportError:\n    Fast = None\n"
        "if TYPE_CHECKING:\n    from nowhere import OnlyTypes\nelse:\n    Other = 1\n"
        "def setup():\n    global Late\n    Late = 1\nsetup()\n"
    ),
    "hidden.py": "def hidden(): ...\nclass Hidden:\n    ...\n",
    "plain/__init__.py": "class Net:\n    class Inner:\n        @staticmethod\n"
    "        def make(): ...\nLIST = [print(x) for x in []]\nimport logging\n"
    "log = logging.getLogger(__name__)\n",
    "plain/deep.py": "Deep = type('Deep', (), {})\n",
    "lazy.py": "def __getattr__(name): ...\n",
    "attached.py": "import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach("
    "__name__, [], {})\n",
    "replaced.py": "import sys\nsys.modules[__name__] = object()\n",
    "filled.py": "def fill():\n    globals()['Net'] = 1\nfill()\n",
    "told.py": "from own.helper import export\nexport(__name__)\n",
    "helper.py": "import sys\ndef export(name):\n    setattr(sys.modules[name], 'Net', 1)\n",
    "latin.py": "# -*- coding: latin-1 -*-\nclass Net: 'gr\u00fcn'\n",
    "space/part.py": "class Net: ...\n",
    "compiled.so": "",
    "matched.py": "match [1]:\n    case [Net]:\n        pass\nif (Walrus := 1):\n    pass\n",
}
"""A package with every way to have a name."""

IMPORTED = [
    "hidden",
    "Hidden",
    "hidden.attribute",
    "where.join",
    "plain.deep.Deep",
    "plain.Net.Inner.make",
    "Alias",
    "Fast",
    "Other",
    "Late",
    "lazy.Net",
    "attached.Net",
    "replaced.Net",
    "filled.Net",
    "told.Net",
    "latin.Net",
    "space.part.Net",
    "matched.Net",
    "matched.Walrus",
    "plain.log.info",
    "plain.deep.__dict__.get",
]
REFUSED = {
    "plain": "this is a module",
    "plain.deep": "this is a module",
    "plain.Nett": "did you mean own.plain.Net?",
    "plain.deep.deep": "own.plain.deep has no 'deep'; did you mean own.plain.deep.Deep?",
    "OnlyTypes": "own has no 'OnlyTypes'",
    "hiden": "did you mean own.hidden?",
    "latin.net": "did you mean own.latin.Net?",
    "space.part.Nat": "did you mean own.space.part.Net?",
    "space.prat.Net": "did you mean own.space.part?",
}


@pytest.fixture(params=["folder", "zip"])
def _package(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write the package, as a folder or into a zip that Python imports from."""
    for name, text in PACKAGE.items():
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("latin-1"))
    place = tmp_path
    if request.param == "zip":
        place = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "own"))
        shutil.rmtree(tmp_path / "own")
    monkeypatch.syspath_prepend(place)


@pytest.mark.usefixtures("_package")
def test_every_way_to_have_a_name() -> None:
    """Nothing that Python imports is refused, a typo in plain code is, and nothing is run."""
    for name in IMPORTED:
        assert trouble(f"own.{name}") is None, name
    for name, message in REFUSED.items():
        assert message in str(trouble(f"own.{name}")), name
    assert "own" not in sys.modules


def test_a_module_with_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra imports it, though no statement could."""
    (tmp_path / "my-net.py").write_text("class Net: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert trouble("my-net.Net") is None
    assert "did you mean my-net.Net?" in str(trouble("my-net.Nett"))


def test_the_worker_finds_what_the_source_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line: what hides a module, what is near, what is no callable, what was raised."""
    (tmp_path / "made").mkdir()
    files = {
        "__init__.py": "from .net import *\ndef __getattr__(name): raise AttributeError(name)\n",
        "net.py": "def net(): ...\nclass Net: ...\n",
        "plain.py": "NUMBER = 3\n",
        "broken.py": "import nowhere_at_all\n",
    }
    for name, text in files.items():
        (tmp_path / "made" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    wanted = {
        "made.net.Net": "made.net is a function that hides the module of that name; made.Net can",
        "made.Nett": "made has no 'Nett'; did you mean made.Net?",
        "made.plain": "this is a module; expected a class or function",
        "made.plain.NUMBER": "this is of type int; expected a class or function",
        "made.broken.Net": "cannot be imported: ModuleNotFoundError: No module named 'nowhere_at",
    }
    for target, message in wanted.items():
        (said,) = misfits("model.build", {"_target_": target})
        assert said.startswith(f"model.build._target_={target}: {message}"), said
        assert "\n" not in said
