"""What is published is whole: the wheel carries conf/, the sdist leaves outputs/ out."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from modelbench import __version__
from modelbench.config.schema import CONF

ROOT = Path(__file__).resolve().parent.parent


def test_the_wheel_carries_the_configuration(tmp_path: Path) -> None:
    """Every YAML, below the package; the command; and it runs from there."""
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("torch_modelbench-*.whl")
    assert __version__ in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    yamls = {path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")}
    assert {"modelbench/py.typed", *(f"modelbench/conf/{name}" for name in yamls)} <= names
    program = "import modelbench.config.schema as c; print(c.CONF)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "site", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()) == tmp_path / "site" / "modelbench" / "conf"
    (sdist,) = tmp_path.glob("torch_modelbench-*.tar.gz")
    with tarfile.open(sdist) as packed:
        assert not [name for name in packed.getnames() if "/outputs/" in name]
