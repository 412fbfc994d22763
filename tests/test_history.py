"""A metric over the past: where it changed, and from where the runs come."""

from __future__ import annotations

import csv
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from documents import document, write

from modelbench import history as program
from modelbench.execution.comparing.past import past
from modelbench.execution.comparing.runs import UsageError
from modelbench.measurement.comparison.change_points import change_points
from modelbench.measurement.comparison.meaning import interval_of
from modelbench.sinks.comparison.history import chart, page

METRIC = "benchmark/forward/p50_ms"
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("places", [[], [20], [10, 30]])
def test_changes_are_found_where_they_are(places: list[int], noise: float) -> None:
    """Of 12% each; nearly, where noise is large; in all but a few of a hundred histories."""
    level, near, wrong = np.zeros(45), 1 if noise < 0.02 else 3, 0
    for place in places:
        level[place:] += 0.12 if place != 30 else -0.2
    for seed in range(12):
        values = np.exp(level + np.random.default_rng(seed).normal(0, noise, level.size))
        found = change_points(values.tolist())
        right = len(found) == len(places)
        wrong += not (right and all(abs(a - b) <= near for a, b in zip(found, places, strict=True)))
    assert wrong <= 2


def test_steady_histories_seldom_change() -> None:
    """In one of a hundred, by chance; outliers are no change, nor is a constant."""
    wrong = 0
    for _ in range(60):
        values = np.exp(RNG.normal(0, 0.05, 30))
        values[RNG.integers(30)] *= 5
        wrong += bool(change_points(values.tolist()))
    assert wrong <= 4
    assert change_points([1.0] * 30) == change_points([1, 2, 3]) == []


def test_intervals_by_name() -> None:
    """Of medians and of what has ends of its own."""
    assert interval_of("a/p50_ms", {"a/ci95_low_ms": 1, "a/ci95_high_ms": 2}) == (1, 2)
    assert interval_of("a/speedup", {"a/speedup_ci_low": 1, "a/speedup_ci_high": 2}) == (1, 2)
    assert interval_of("a/samples", {"a/ci95_low_ms": 1, "a/ci95_high_ms": 2}) is None
    assert interval_of("a/p50_ms", {"a/ci95_low_ms": 1, "a/ci95_high_ms": None}) is None


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make 24 runs over two days, the last half of which are slower; another precision beside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    start = time.time() - 48 * 3600
    for number in range(24):
        middle = (10 if number < 12 else 12) * float(np.exp(RNG.normal(0, 0.01)))
        made = document([[middle] * 40] * 3)
        made["environment"]["git_commit"] = f"{number // 3:040x}"
        file = write(tmp_path / "runs" / str(number), made) / "results.json"
        os.utime(file, (start + 3600 * number,) * 2)
    for number in range(3):
        made = document([[5.0] * 40] * 3) | {"precision": "bf16"}
        write(tmp_path / "runs" / f"other{number}", made)
    (tmp_path / "runs" / "cut").mkdir()
    (tmp_path / "runs" / "cut" / "results.json").write_text("{", encoding="utf-8")
    return tmp_path / "runs"


def run(*words: str) -> int:
    """Run the program; return its exit status."""
    with pytest.raises(SystemExit) as ended:
        program.main(list(words))
    return int(str(ended.value.code or 0))


def test_a_history_of_folders(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A series for each kind of run; the change with its commit, and all files."""
    assert run(f"metric={METRIC}", "model=toy", str(runs), "--otava", "otava") == 0
    out, err = capsys.readouterr()
    assert "toy cpu fp32 batch_size=1 image_size=8" in " ".join(out.split())
    assert "the latest 10 of 24 runs" in out
    assert "changed from " in out and ", worse) at commit 000000000" in out
    assert out.count("no change found") == 1
    for name in ("history.html", "history.png", "history.svg"):
        assert Path(name).stat().st_size > 1000
        assert name in err
    config = yaml.safe_load(Path("otava/otava.yaml").read_text(encoding="utf-8"))
    told = config["tests"]["history-0"]
    with Path("otava", told["file"]).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24
    (metric,) = told["metrics"].values()
    assert metric == {"column": "metric", "direction": -1}
    assert set(rows[0]) == {told["time_column"], *told["attributes"], "metric"}


def test_only_what_fits(runs: Path) -> None:
    """By the model, sizes and choices; the places of changes are those of runs."""
    (found,) = past(METRIC, {"precision": "fp32", "image_size": "8"}, [runs])
    assert len(found.points) == 24
    assert found.changes == [12]
    assert [place[:2] for place in found.levels] == [(0, 11), (12, 23)]
    spec = chart(METRIC, [found])
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert "changed from" in page(METRIC, [found], "lower")
    with pytest.raises(UsageError, match="0 runs of model=other have it"):
        past(METRIC, {"model": "other"}, [runs])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=toy"], "no metric; expected such as metric=benchmark/forward/p50_ms"),
        (["metric=a/b", "nowhere"], "nowhere: no folder"),
        (["metric=a/b", "runs"], "a/b: 0 runs of any kind have it in runs"),
        ([f"metric={METRIC}"], "0 runs of any kind have it in outputs"),
    ],
)
def test_wrong_words(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """End with status 2 and a sentence."""
    assert runs.is_dir()
    assert run(*words) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_history_of_mlflow(
    command: Callable[..., Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs of the store, by the same words."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = command("--multirun", "model=toy", "seed=1,2,3", "test=structure", tracker="mlflow")
    assert done.status == 0
    assert run("metric=structure/params", "model=toy", "precision=fp32") == 0
    out, _ = capfd.readouterr()
    assert re.findall(r" (\d+) *$", out, re.MULTILINE) == ["10"] * 3
    assert "no change found" in out
    assert run("metric=structure/params", "model=toy", "seed=1") == 2
    assert "1 runs of model=toy seed=1 have it in the MLflow store" in capfd.readouterr().err
