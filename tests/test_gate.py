"""Two commands, interleaved in one session."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import pytest
import torch
from conftest import CONFIGS

from modelbench import gate
from modelbench.execution.comparing.gating import side_of
from modelbench.execution.comparing.interleaved import Command, Phase, Session, interleaved
from modelbench.execution.comparing.runs import UsageError
from modelbench.execution.comparing.side import slowed

TOY = f"--config-dir {CONFIGS.as_posix()} model=toy"
MODEL = """
name: mine
build: {_target_: mine.Net}
axes: {batch_size: 1}
inputs: {x: {_target_: modelbench.inputs.Noise, shape: [batch_size, 64]}}
"""
CODE = """
import time
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 64)

    def forward(self, x):
        time.sleep(%s)
        return self.layer(x)
"""


def run(*words: str) -> int:
    """Run the program; return its exit status."""
    with pytest.raises(SystemExit) as ended:
        gate.main(list(words))
    return int(str(ended.value.code or 0))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(CONFIGS.parent.parent))


def checkout(folder: Path, seconds: float) -> Path:
    """Make a checkout whose model takes so long."""
    (folder / "configs" / "model").mkdir(parents=True)
    (folder / "configs" / "model" / "mine.yaml").write_text(MODEL, encoding="utf-8")
    (folder / "configs" / "mine.py").write_text(CODE % seconds, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_two_checkouts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The same command in both; the code of each is its own."""
    one, two = checkout(tmp_path / "one", 0.004), checkout(tmp_path / "two", 0.008)
    words = ["--pairs", "3", "--budget-s", "0.1", "--json", "one", "two", "--"]
    assert run(*words, "--config-dir", "configs", "model=mine") == 1
    out, err = capfd.readouterr()
    found = json.loads(out)
    (effect,) = [e for e in found["effects"] if e["metric"] == "benchmark/forward/p50_ms"]
    assert effect["verdict"] == "SLOWER"
    assert 1.5 < effect["ratio"] < 2.5
    assert effect["why"].endswith("interleaved blocks in 3 pairs of fresh processes")
    assert (tmp_path / "compare.html").is_file()
    assert "pair 3 of 3: forward" in err
    assert one.is_dir() and two.is_dir()


@pytest.mark.slow
def test_a_command_against_itself_and_slowed_down(capfd: pytest.CaptureFixture[str]) -> None:
    """No regression; a slowdown of a third is one, and is caught."""
    words = ["--pairs", "3", "--budget-s", "3", "--threshold", "33%", "--self-test"]
    assert run(*words, TOY, TOY) == 0
    out, _ = capfd.readouterr()
    assert "no regression beyond 33%" in out
    assert "self-test: a slowdown of 33.0% is caught: forward 1." in out


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        (["model=toy", "model=toy"], "model=toy: unknown model"),
        ([TOY, f"{TOY} precision=int9"], "precision=int9: unknown precision"),
        (["nothing", TOY], "nothing: no folder, and no command such as"),
        ([".", TOY], ".: a folder, but no command to run in it"),
        (["x" * 300, TOY], "xxx: no folder, and no command such as"),
    ],
)
def test_wrong_sides(sides: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Are said, with status 2."""
    assert run(*sides, "--pairs", "3") == 2
    assert said in capfd.readouterr().err


@pytest.mark.slow
def test_a_side_that_dies() -> None:
    """Is named, with its status and what it printed last."""
    dying = [*TOY.split(), "model.build._target_=exits.Exits"]
    session = Session(pairs=3, budget_s=0.1)
    with pytest.raises(UsageError, match="ended with status"):
        interleaved(Command(dying), Command(dying), session, lambda _: None)


def test_a_slowed_call_takes_so_much_longer() -> None:
    """By a share of its own time, and rewinds as the call does."""

    class Call:
        rewound = 0

        def __call__(self) -> None:
            sleep(0.02)

        def rewind(self) -> None:
            self.rewound += 1

    call = Call()
    longer: Any = slowed(call, 0.5, torch.device("cpu"))
    start = perf_counter()
    longer()
    assert perf_counter() - start >= 0.03
    longer.rewind()
    assert call.rewound == 1


def test_the_ratio_knows_what_pairs_differ_by() -> None:
    """More of them know it better."""
    few, many = (Phase(ratios=[0.05, 0.04, 0.06] * times, blocks=9) for times in (1, 4))
    for phase in (few, many):
        assert phase.ratio.value == pytest.approx(1.0513, rel=1e-3)
        assert phase.ratio.interval[0] < 1.05 < phase.ratio.interval[1]
    assert many.ratio.reach < few.ratio.reach / 2


def test_sides() -> None:
    """A command, or words in a folder."""
    assert side_of("python -m modelbench model=unet", ["seed=1"]) == Command(
        ["model=unet", "seed=1"]
    )
    here = Path()
    assert side_of(".", ["model=unet", "seed=1"]) == Command(["model=unet", "seed=1"], here)
    assert side_of(".", ["model=unet seed=1"]) == Command(["model=unet", "seed=1"], here)
