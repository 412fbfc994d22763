"""What the tests share: the command line, run in this process, and a folder of toys and faults."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelbench.execution.cli.app import run
from modelbench.execution.sweep import Sweep
from modelbench.system.cache import FOLDER
from modelbench.system.signals import ENDING

CONFIGS = Path(__file__).parent / "configs"


@dataclass
class Done:
    """What a command line left behind."""

    status: int
    out: str
    err: str
    folder: Path
    files: list[Path] = field(default_factory=list)

    @property
    def results(self) -> dict[str, Any]:
        """The only `results.json`."""
        (file,) = self.files
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


Command = Callable[..., Done]


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no test learn from what runs before have found, nor leave anything to later ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(tmp_path_factory.mktemp("cache")))
        yield


QUICK = {
    "test.benchmark.budget_s": "1",
    "test.benchmark.warmup_s": "0.1",
    "test.benchmark.processes": "1",
    "test.benchmark.control": "false",
    "test.benchmark.batch_sizes": "[]",
    "test.benchmark.prompt_lengths": "[]",
    "test.algorithm.steps": "10",
    "test.algorithm.data_steps": "100",
    "test.algorithm.min_drop": "0.001",
    "test.dynamic.point_s": "0.01",
    "test.dynamic.memory_mib": "300",
    "test.dynamic.call_s": "0.2",
    "test.dynamic.export": "false",
    "test.dynamic.search_s": "0.5",
    "test.quantization.schemes": "[fp32]",
    "test.quantization.budget_s": "0.1",
    "test.profile.budget_s": "0.2",
    "test.profile.remedies": "false",
    "test.profile.pictures": "false",
}
"""Settings where a test says nothing else: it waits for no narrow interval, and for no compiler."""


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Run modelbench in an empty folder, with the toys in reach and without a tracker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["modelbench"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = {number: signal.getsignal(number) for number in ENDING}

    def act(*overrides: str, tracker: str = "none") -> Done:
        Sweep.current = None
        given = [f"tracker={tracker}"] if tracker else []
        own = [] if "--config-dir" in overrides else ["--config-dir", str(CONFIGS)]
        quick = [f"{key}={value}" for key, value in QUICK.items()]
        if any(o.startswith(("+experiment=", "resume=", "retry=")) for o in overrides):
            quick = []  # it has its own
        quick = [each for each in quick if not any(each.split("=")[0] in o for o in overrides)]
        status = run([*own, *given, *quick, *overrides])
        out, err = capfd.readouterr()
        files = sorted((tmp_path / "outputs").rglob("results.json"))
        return Done(status, out, err, tmp_path, files)

    yield act
    Sweep.current = None
    for number, handler in before.items():
        signal.signal(number, handler)
