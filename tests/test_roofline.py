"""Peaks are kept for the machine, phases are placed below them, and throughput saturates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import torch
from checkpoints import gpt2
from conftest import Command
from PIL import Image
from test_models import prompt
from test_workload import workload

from modelbench.measurement.compute import peaks as measured
from modelbench.measurement.compute.counting import count_phase
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.compute.peaks import Peaks, fingerprint, peaks
from modelbench.measurement.compute.roofline import Place
from modelbench.measurement.timing.record import ASSUMED
from modelbench.measurement.timing.throughput import Growth, Point, brief, grow, grow_again
from modelbench.measurement.timing.timing import Rule
from modelbench.phases.language import Generate
from modelbench.results import Report, Result
from modelbench.stages.benchmark import Benchmark
from modelbench.stages.benchmark.growth import Grown
from modelbench.stages.benchmark.plot_roofline import roofline
from modelbench.stages.stage import Context

CPU, FP32 = torch.device("cpu"), torch.float32
TINY = ("model=stable_diffusion", "model.variant=tiny", "model.steps=3")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of its own."""
    monkeypatch.setattr(measured, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(measured, "_control_ms", lambda _: 2.0)
    return tmp_path / "cache" / "peaks.json"


def test_peaks_are_measured_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a device with its threads; afresh, the better of two is kept."""
    monkeypatch.setattr(measured, "findings", lambda *_: [])
    found = peaks(CPU, FP32)
    assert found.macs_per_s > 1e8
    assert found.bytes_per_s > 1e8
    monkeypatch.setattr(measured, "measure", lambda *_: Peaks(1.0, 1e15))
    assert peaks(CPU, FP32) == found
    monkeypatch.setattr(measured, "findings", lambda *_: ["a hog"])
    busy = peaks(CPU, FP32, afresh=True)
    assert busy.disturbed == ("a hog",)
    assert peaks(CPU, FP32) == found  # what was measured meanwhile is not kept
    monkeypatch.setattr(measured, "findings", lambda *_: [])
    assert peaks(CPU, FP32, afresh=True) == Peaks(found.macs_per_s, 1e15, control_ms=2.0)
    assert list(json.loads(cache.read_text())) == [fingerprint(CPU, FP32)]
    assert "threads" in fingerprint(CPU, FP32)
    cache.write_text("{")  # cut short by a full disk
    assert peaks(CPU, FP32) == Peaks(1.0, 1e15, control_ms=2.0)


def test_the_peak_is_of_what_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products or convolutions: which one, depends on the libraries; a type may lack either."""
    assert measured._convolution_rate(CPU, FP32) > 1e8
    monkeypatch.setattr(measured, "_memory_rate", lambda _: 1.0)
    monkeypatch.setattr(measured, "_product_rate", lambda *_: 2.0)
    monkeypatch.setattr(measured, "_convolution_rate", lambda *_: 3.0)
    assert measured.measure(CPU, FP32) == Peaks(3.0, 1.0)
    monkeypatch.setattr(measured, "_convolution_rate", lambda *_: 0.0)
    assert measured.measure(CPU, FP32) == Peaks(2.0, 1.0)


@pytest.mark.parametrize(
    ("macs", "size", "bound"),
    [(900, 10, "compute"), (90, 80, "bandwidth"), (90, 9, "overhead")],
)
def test_what_bounds_a_call(macs: int, size: int, bound: str) -> None:
    """The greater share; neither, where both are small."""
    place = Place(macs, size, seconds=1.0, peaks=Peaks(1000.0, 100.0))
    assert place.mfu == macs / 1000
    assert place.bandwidth == size / 100
    assert place.intensity == macs / size
    assert place.bound == bound


def test_the_roofline_is_drawn(tmp_path: Path) -> None:
    """As PNG and SVG, with the phases named."""
    place = Place(10**9, 10**8, 0.1, Peaks(1e11, 1e10))
    files = roofline({"prefill": place, "decode": place}, "gpt2", tmp_path)
    assert files == ["plots/roofline.png", "plots/roofline.svg"]
    with Image.open(tmp_path / files[0]) as picture:
        assert picture.size == (1200, 750)
    drawn = (tmp_path / files[1]).read_text(encoding="utf-8")
    assert "prefill" in drawn
    assert "GMACs/s" in drawn


def test_bytes_are_what_operations_read_and_write() -> None:
    """A linear layer reads weight, bias and input and writes its output; a lookup only its rows."""
    layer = torch.nn.Linear(30, 20)
    found = count_macs(layer, lambda: layer(torch.ones(7, 30)))
    written = 7 * 30  # the input itself, which the call makes
    assert found.bytes == 4 * (30 * 20 + 20 + 7 * 30 + 7 * 20 + written)
    table = torch.nn.Embedding(1000, 8)
    tokens = torch.zeros(3, dtype=torch.int64)
    assert count_macs(table, lambda: table(tokens)).bytes == 2 * 4 * 3 * 8


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("model=cnn",), id="cnn"),
        pytest.param(TINY, id="stable_diffusion", marks=pytest.mark.slow),
    ],
)
def test_phases_are_counted_on_shapes_alone(words: tuple[str, ...]) -> None:
    """As exactly as by running them."""
    found = workload(*words, "batch_size=2")
    model, batch = found.build(), found.batch()
    for phase in found.phases:

        def prepare(model: Any, batch: Any, phase: str = phase) -> Callable[[], Any]:
            return found.phase(phase, model, batch)

        real = count_macs(model, found.phase(phase, model, batch))
        cost = count_phase(prepare, model, batch, quick=False)
        assert cost is not None
        assert cost.total == real.total > 0


def test_generation_is_counted_on_shapes_alone() -> None:
    """Though the library's own looks at each token."""
    model, batch = gpt2(), prompt(9)
    real = count_macs(model, Generate(model, batch, new_tokens=5))
    cost = count_phase(lambda m, b: Generate(m, b, new_tokens=5), model, batch, quick=False)
    assert cost is not None
    assert cost.total == real.total


def test_a_phase_that_looks_at_numbers_is_run_if_it_is_quick() -> None:
    """Else nothing is known of it."""
    found = workload("model=cnn")
    model, batch = found.build(), found.batch()

    def looking(model: Any, batch: Any) -> Callable[[], Any]:
        return lambda: model(batch.args[0] if batch.args else batch.kwargs["images"]).sum().item()

    assert count_phase(looking, model, batch, quick=False) is None
    cost = count_phase(looking, model, batch, quick=True)
    assert cost is not None
    assert cost.total == count_macs(model, lambda: batch.call(model)).total


def test_the_knee() -> None:
    """The least size within a tenth of the greatest rate."""
    rates = {1: 100, 2: 190, 4: 200, 8: 205}
    points = [Point(size, 1, [[size / rate * 1e3]]) for size, rate in rates.items()]
    assert Growth(points, None).saturation == points[1]
    assert Growth([], None).saturation is None


def test_growth_stops_before_a_call_takes_too_long() -> None:
    """Estimate from the size before, and said."""
    asked: list[int] = []

    def at(size: int) -> Callable[[], None]:
        asked.append(size)
        return lambda: sleep(size / 1000)

    found = grow(at, [4, 1, 100], 3, brief(Rule(), 0.05), CPU)
    assert asked == [1, 4]
    assert [point.size for point in found.points] == [1, 4]
    assert found.points[0].rate == pytest.approx(3 / found.points[0].p50_ms * 1e3)
    assert found.ended is not None
    assert "stopped at 4: the next call would take about 0.1 s" in found.ended


def test_growth_over_processes() -> None:
    """Later ones add to the sizes whose call is short enough; medians are those over processes."""
    found = Growth([Point(1, 2, [[4.0, 4.0]]), Point(8, 2, [[300.0]])], None)
    asked: list[int] = []

    def at(size: int) -> Callable[[], None]:
        asked.append(size)
        return lambda: sleep(0.008)

    grow_again(found, at, brief(Rule(), 0.05), CPU)
    assert asked == [1]
    short, long = found.points
    assert [len(point.processes) for point in found.points] == [2, 1]
    assert 6 <= short.p50_ms < 20
    assert short.rate == pytest.approx(2 / short.p50_ms * 1e3)
    assert long.p50_ms == 300
    report = Report()
    Grown("forward", "batch_size", found).add(report, ASSUMED, shared=True)
    low, high = (report.curves[f"forward/batch_ci95_{end}_ms"] for end in ("low", "high"))
    assert list(low) == list(high) == [1]
    assert low[1] < short.p50_ms < high[1]
    assert any("from batch_size=8 on" in note for note in report.notes)


def test_growth_stops_before_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that would take over half of what is free is not tried."""
    held = iter([2**30, 2**31])
    monkeypatch.setattr("modelbench.measurement.timing.throughput.Meter.peak", lambda _: next(held))
    monkeypatch.setattr(
        "psutil.virtual_memory", lambda: type("Memory", (), {"available": 6 * 2**30})
    )
    found = grow(lambda _: lambda: sleep(0.001), [1, 2, 4], 1, brief(Rule(), 0.05), CPU)
    assert [point.size for point in found.points] == [1, 2]
    assert found.ended == "stopped at 2: the next would take about 4.0 GiB of 6.0 GiB free"


@pytest.mark.slow
def test_the_throughput_of_a_language_model(command: Command) -> None:
    """Items over batches, tokens over prompts, as curves whose step is the size."""
    words = [f"test.benchmark.{setting}" for setting in (
        "min_s=0.1", "throughput_s=2", "batch_sizes=[1,2]", "prompt_lengths=[8,16,4096]"
    )]  # fmt: skip
    words += ["+model.build.config.n_layer=1", "+model.build.config.n_embd=48"]
    words += ["sequence_length=16", "model.new_tokens=2"]
    done = command("model=gpt2", "test=benchmark", *words)
    stage = done.results["stages"]["benchmark"]
    assert stage["status"] == "passed"
    curves = stage["curves"]
    assert list(curves["benchmark/prefill/prompt_tokens_per_s"]) == ["8", "16"]
    for phase in ("prefill", "decode", "generate"):
        assert list(curves[f"benchmark/{phase}/batch_items_per_s"]) == ["1", "2"]
        metrics = stage["metrics"]
        assert 0 < metrics[f"benchmark/{phase}/mfu"]["value"] < 1
        assert metrics[f"benchmark/{phase}/macs_g"]["value"] > 0
    assert "plots/roofline.png" in stage["artifacts"]
    assert stage["details"]["state"]["denormals"] in {"kept", "flushed to zero"}


def test_a_share_over_one_fails(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figures kept: it is an error of ours."""
    report = _impossible(cache, monkeypatch, disturbed=[])
    assert report.failure is not None
    assert "times the attainable rate of MACs, which is impossible" in report.failure
    result = Result.of("benchmark", 1.0, report)
    assert (result.status, result.reason) == ("failed", report.failure)
    assert result.metrics["benchmark/forward/p50_ms"].value > 0


def test_a_share_over_one_of_a_busy_machine_is_a_warning(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its peaks came out too low, which is no error in our counting."""
    report = _impossible(cache, monkeypatch, disturbed=["another process was busy"])
    assert report.failure is None
    assert any("measured peaks are too low: another process" in each for each in report.warnings)


def _impossible(cache: Path, monkeypatch: pytest.MonkeyPatch, disturbed: list[str]) -> Report:
    """Time the cnn on a machine that can do one MAC a second."""
    monkeypatch.setattr(measured, "measure", lambda *_: Peaks(1.0, 1.0))
    monkeypatch.setattr(measured, "findings", lambda *_: disturbed)
    context = Context(CPU, {"name": "fp32"}, cache.parent.parent, cache.parent, lambda _: None)
    return Benchmark(min_s=0.1, budget_s=0.5)(workload("model=cnn"), context)
