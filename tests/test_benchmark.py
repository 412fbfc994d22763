"""The benchmark stage reports each phase with what its sample carries."""

from __future__ import annotations

import pytest
from conftest import Command


def test_the_metrics_of_a_phase(command: Command) -> None:
    """The contract's names, an interval about the median, raw samples kept."""
    done = command("model=toy", "test=benchmark", "test.benchmark.min_s=0.2", "batch_size=3")
    stage = done.results["stages"]["benchmark"]
    found = {name: metric["value"] for name, metric in stage["metrics"].items()}
    samples = stage["series"]["benchmark/forward/samples_ms"]
    assert len(samples) == found["benchmark/forward/samples"] >= 30
    p50 = found["benchmark/forward/p50_ms"]
    assert sorted(samples)[len(samples) // 2] >= p50 >= min(samples)
    low, high = (found[f"benchmark/forward/ci95_{end}_ms"] for end in ("low", "high"))
    assert low <= p50 <= high
    assert found["benchmark/forward/items_per_s"] * p50 / 1e3 == pytest.approx(3)
    assert found["benchmark/load_s"] > 0
    assert found["benchmark/first_call_ms"] > 0
    environment = done.results["environment"]
    assert {"cpu", "cpu_cores", "ram_gib", "torch_threads", "git_dirty"} <= set(environment)
    assert environment["versions"]["torch"]


def test_a_budget_too_small(command: Command) -> None:
    """What could be measured is there, without figures that it cannot carry, and a remedy."""
    words = ["test.benchmark.budget_s=1e-6", "test.benchmark.warmup_s=0"]
    done = command("model=toy", "test=benchmark", *words)
    stage = done.results["stages"]["benchmark"]
    assert stage["metrics"]["benchmark/forward/samples"]["value"] == 1
    assert "benchmark/forward/ci95_low_ms" not in stage["metrics"]
    assert "benchmark/forward/std_ms" not in stage["metrics"]
    assert "raise test.benchmark.budget_s" in stage["warnings"][0]


def test_phases_are_timed_apart(command: Command) -> None:
    """A row for each in the table."""
    targets = {"mean": "toys.mean_of", "never": "toys.never", "again": "toys.mean_of"}
    nodes = ", ".join(f"{name}: {{_target_: {target}}}" for name, target in targets.items())
    phases = f"+model.phases={{{nodes}}}"
    done = command("model=toy", "test=benchmark", phases, "test.benchmark.min_s=0.1")
    metrics = done.results["stages"]["benchmark"]["metrics"]
    assert {"benchmark/mean/p50_ms", "benchmark/again/p50_ms"} <= set(metrics)
    assert "benchmark/forward/p50_ms" not in metrics
    assert ["mean", "again"] in [line.split() for line in done.out.splitlines()]
    assert "never left out: not here" in done.out
