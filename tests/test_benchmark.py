"""The benchmark stage reports each phase with what its sample carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONFIGS, Command
from test_workload import workload

from modelbench.stages.benchmark import Benchmark
from modelbench.stages.stage import Context


def test_the_metrics_of_a_phase(command: Command) -> None:
    """The contract's names, an interval about the median, raw samples kept."""
    done = command("model=toy", "test=benchmark", "test.benchmark.min_s=0.2", "batch_size=3")
    stage = done.results["stages"]["benchmark"]
    found = {name: metric["value"] for name, metric in stage["metrics"].items()}
    samples = stage["series"]["benchmark/forward/samples_ms"]
    assert len(samples) == found["benchmark/forward/samples"] >= 30
    p50 = found["benchmark/forward/p50_ms"]
    assert sorted(samples)[len(samples) // 2] >= p50 >= min(samples)
    if "benchmark/forward/ci95_low_ms" in found:
        low, high = (found[f"benchmark/forward/ci95_{end}_ms"] for end in ("low", "high"))
        assert low <= p50 <= high
    else:  # on a busy machine calls of microseconds are correlated, and the audit says how
        told = ("are correlated", "drift by", "two groups")
        assert any(word in warning for warning in stage["warnings"] for word in told)
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
    assert any("raise test.benchmark.budget_s" in warning for warning in stage["warnings"])


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
    assert "never skipped: not here" in done.out


def test_some_phases_and_so_many_samples(command: Command) -> None:
    """As asked for, and without the roofline; a phase that is not there is named."""
    nodes = ", ".join(f"{name}: {{_target_: toys.mean_of}}" for name in ("first", "second"))
    words = ["model=toy", "test=benchmark", f"+model.phases={{{nodes}}}"]
    several = [f"test.benchmark.{key}=7" for key in ("min_samples", "max_samples")]
    chosen = "test.benchmark.phases=[second]"
    done = command(*words, *several, chosen, "test.benchmark.roofline=false")
    metrics = done.results["stages"]["benchmark"]["metrics"]
    assert metrics["benchmark/second/samples"]["value"] == 7
    assert not any("first/" in name or name.endswith(("mfu", "macs_g")) for name in metrics)
    artifacts = done.results["stages"]["benchmark"]["artifacts"]
    assert artifacts == ["plots/latency-second.png", "plots/latency-second.svg"]
    done = command(*words, "test.benchmark.phases=[third]")
    assert done.status == 1
    assert "test.benchmark.phases=['third']: toy has first, second" in done.out
    done = command("model=toy", "test=structure", *several[1:], "test.benchmark.min_samples=9")
    assert done.status == 1
    assert "max_samples=7: expected null, or min_samples (9) or more" in done.out + done.err


@pytest.mark.slow
def test_a_phase_that_fails_costs_that_phase(command: Command) -> None:
    """Each is named with its reason, and all other figures stand."""
    targets = {
        "unready": "failing.unprepared", "first": "toys.mean_of", "broken": "failing.uncalled",
        "untold": "failing.Untold", "last": "toys.mean_of",
    }  # fmt: skip
    nodes = ", ".join(f"{name}: {{_target_: {target}}}" for name, target in targets.items())
    words = [f"+model.phases={{{nodes}}}", "test.benchmark.min_s=0.05"]
    done = command("model=toy", "test=benchmark", *words, "test.benchmark.batch_sizes=[1,2]")
    stage = done.results["stages"]["benchmark"]
    assert (done.status, stage["status"]) == (1, "failed")
    assert stage["reason"].split("; ") == [
        "unready: KeyError: 'no tokenizer'",
        "broken: out of memory: 64 GiB", "try batch_size=1",
        "untold, its own metrics: ZeroDivisionError: no image",
    ]  # fmt: skip
    for phase in ("first", "untold", "last"):
        assert stage["metrics"][f"benchmark/{phase}/p50_ms"]["value"] > 0
        assert stage["metrics"][f"benchmark/{phase}/macs_g"]["value"] > 0
        assert list(stage["curves"][f"benchmark/{phase}/batch_items_per_s"]) == ["1", "2"]
        assert f"plots/latency-{phase}.png" in stage["artifacts"]
    assert stage["details"]["state"]["torch_threads"]


def test_a_plot_and_a_peak_that_fail_cost_no_figure(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was measured stays, the MACs as well."""

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr("modelbench.stages.benchmark.placement.peaks", fails)
    monkeypatch.setattr("modelbench.stages.benchmark.figures.draw_samples", fails)
    monkeypatch.syspath_prepend(CONFIGS)
    context = Context(torch.device("cpu"), {}, tmp_path, tmp_path, lambda _: None)
    report = Benchmark(min_s=0.05, budget_s=0.2, processes=1, control=False)(
        workload("model=toy"), context
    )
    assert report.failure is not None
    assert report.failure.split("; ") == [
        "forward, share of the peak: OSError: disk full", "plots: OSError: disk full",
    ]  # fmt: skip
    assert {"forward/p50_ms", "forward/macs_g", "forward/moved_mb"} <= set(report.metrics)


@pytest.mark.slow
def test_a_batch_that_the_model_does_not_take_ends_the_growth(command: Command) -> None:
    """With its reason, and with the rates of the smaller ones."""
    target = "model.build._target_=failing.Few"
    sizes = "test.benchmark.batch_sizes=[1,2,4]"
    done = command("model=toy", "test=benchmark", target, sizes, "test.benchmark.min_s=0.05")
    stage = done.results["stages"]["benchmark"]
    assert stage["status"] == "passed"
    assert list(stage["curves"]["benchmark/forward/batch_items_per_s"]) == ["1", "2"]
    said = "forward: batch_size=4 fails: ValueError: at most two samples"
    assert said in stage["warnings"]
    done = command("model=toy", "test=benchmark", target, "test.benchmark.batch_sizes=[4]")
    assert done.status == 1
    assert said in done.out
