"""What CONTRIBUTING.md shows can be added as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIFF = re.compile(r"^<!-- diff: (\w+) -->\n```diff\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_a_stage_and_a_model_are_added(tmp_path: Path) -> None:
    """One folder and one YAML, and one YAML: the job runs, and lint and layers hold."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    diffs = dict(DIFF.findall(page))
    assert list(diffs) == ["model", "stage"]
    for name in ("modelbench", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for text in diffs.values():
        subprocess.run(["git", "apply"], input=text, text=True, cwd=tmp_path, check=True)
    words = ["model=linear", "test=[structure,sparsity,algorithm]", "tracker=none"]
    run = _python(tmp_path, "-m", "modelbench", *words, "hydra.run.dir=run")
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    metrics = {k: v["value"] for s in found["stages"].values() for k, v in s["metrics"].items()}
    assert metrics["structure/params"] == 650
    assert metrics["sparsity/share"] < 0.01
    added = ["modelbench/stages/sparsity"]
    assert _python(tmp_path, "-m", "ruff", "check", *added).returncode == 0
    assert _python(tmp_path, "-m", "ruff", "format", "--check", *added).returncode == 0


def _python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    there = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=there, capture_output=True, text=True, check=False
    )
