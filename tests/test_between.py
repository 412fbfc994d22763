"""An interval holds where the next run's median will be: from processes and earlier runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CONFIGS, Command
from test_workload import workload

from modelbench.execution.schedule import Schedule
from modelbench.measurement.timing import record as kept
from modelbench.measurement.timing.audit import of_processes, of_speed
from modelbench.measurement.timing.between import between
from modelbench.measurement.timing.control import Control, Rounds
from modelbench.measurement.timing.pairing import Ratio, over_processes
from modelbench.measurement.timing.record import (
    ASSUMED,
    COUNTED,
    DAY_S,
    KEPT,
    LEARNED,
    Known,
    Record,
    Usual,
    known,
)
from modelbench.measurement.timing.timing import (
    LATER_WARMUP_S,
    SPENT,
    Conditions,
    Rule,
    Timing,
    collect,
)
from modelbench.results import Further, Metric, Report, Result
from modelbench.stages.benchmark import Benchmark
from modelbench.stages.benchmark.sampled import Sampled
from modelbench.stages.benchmark.samples import PhaseFigures, followed
from modelbench.stages.dynamic.growth import Power
from modelbench.stages.stage import Context

CPU = torch.device("cpu")
PROCESSES = 5


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of its own."""
    monkeypatch.setenv("MODELBENCH_CACHE", str(tmp_path))
    return tmp_path


def runs(
    rng: np.random.Generator, slow: float, often: float, count: int
) -> list[list[list[float]]]:
    """Draw runs of processes on a host that is slower by `slow` in some of them."""
    levels = slow * (rng.random(count) < often)
    return [
        [list(np.exp(level + rng.normal(0, 0.01) + rng.normal(0, 0.02, 40))) for _ in range(5)]
        for level in levels
    ]


@pytest.mark.parametrize(("slow", "often"), [(0.0, 0.0), (0.12, 0.3), (0.6, 0.3), (0.25, 0.12)])
def test_intervals_that_rest_on_runs_of_a_day_hold(slow: float, often: float) -> None:
    """The median of all runs lies in 93% of them or more, and not in all."""
    held = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        drawn = runs(rng, slow, often, 100)
        medians = [float(np.median([np.median(process) for process in run])) for run in drawn]
        truth = float(np.median(medians))
        for number in range(COUNTED, 100, 4):
            own = Usual.of(medians[:number], DAY_S)
            interval = between(drawn[number], known(own, None, "compute")).interval
            assert interval is not None
            held.append(interval[0] <= truth <= interval[1])
    assert 0.93 <= np.mean(held) <= 0.985


def test_the_interval_inside_a_run_does_not_hold() -> None:
    """Which is what the wider one is for."""
    rng = np.random.default_rng(0)
    drawn = runs(rng, 0.12, 0.3, 200)
    within = [between(run, ASSUMED).within for run in drawn]
    truth = 1.0
    assert np.mean([w is not None and w[0] <= truth <= w[1] for w in within]) < 0.75


def test_processes_that_differ_widen_it() -> None:
    """By as much as they do; one process has its own interval and what is assumed between runs."""
    rng = np.random.default_rng(1)
    alike = [list(10 + rng.normal(0, 0.1, 50)) for _ in range(PROCESSES)]
    narrow = between(alike, ASSUMED)
    assert narrow.interval is not None and narrow.within is not None
    assert narrow.interval[0] < narrow.within[0] < narrow.median < narrow.within[1]
    apart = [[value * (1 + place / 10) for value in alike[place]] for place in range(PROCESSES)]
    wide = between(apart, ASSUMED)
    assert wide.interval is not None
    assert wide.interval[1] - wide.interval[0] > 2 * (narrow.interval[1] - narrow.interval[0])
    assert wide.spread == pytest.approx(0.14, abs=0.03)
    alone = between(alike[:1], ASSUMED)
    assert alone.interval is not None
    assert alone.spread is None
    nothing = between([[10.0]], ASSUMED)
    assert nothing.interval is None
    assert nothing.median == pytest.approx(10)


def test_an_unlike_run_is_not_made_narrow_by_like_ones() -> None:
    """Where processes differ by more than runs ever did, that counts."""
    rng = np.random.default_rng(2)
    quiet = Known(0.005, 50, "50 runs", reach=0.01)
    like = [list(10 + rng.normal(0, 0.05, 50)) for _ in range(PROCESSES)]
    interval = between(like, quiet).interval
    assert interval is not None
    assert interval[1] / interval[0] == pytest.approx(np.exp(0.02))
    torn = [[value * (1 + 0.3 * (place % 2)) for value in each] for place, each in enumerate(like)]
    wide = between(torn, quiet).interval
    assert wide is not None
    assert wide[1] / wide[0] > 1.3


def test_what_is_known_of_runs() -> None:
    """Of the same call, else of the machine where that is more, else assumed."""
    steady = [10.0 + 0.01 * place for place in range(LEARNED)]
    assert Usual.of(steady[:-1], DAY_S) is None
    own = Usual.of(steady, DAY_S)
    assert own is not None and own.reach > own.spread
    assert known(own, None, "compute").reach == own.reach
    sitting = known(replace(own, span_s=3600), None, "compute")
    assert sitting.reach is not None and sitting.reach > own.reach
    assert "they span less than a day" in sitting.told
    assert known(None, own, "compute") == ASSUMED  # it varied by less than is assumed
    shaky = replace(own, spread=0.08)
    assert known(None, shaky, "memory").spread == 0.08
    assert "the memory control varied by 8.0%" in known(None, shaky, "memory").told
    bimodal = [1.0] * 14 + [1.8] * 7
    many = Usual.of(bimodal, DAY_S)
    assert many is not None
    assert np.exp(many.reach) == pytest.approx(1.8)


def test_runs_are_kept_and_forgotten(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The latest of them, by what determines them; what cannot be read is written anew."""
    for number in range(KEPT + 5):
        Record(model="a").add({"p50_ms": 1.0 + number})
    Record(model="b").add({"p50_ms": 7.0})
    usual = Record(model="a").usual("p50_ms")
    assert usual is not None
    assert usual.runs == KEPT
    assert usual.median == pytest.approx(5 + (KEPT + 1) / 2, rel=1e-3)
    assert Record(model="a").usual("ratio") is None
    (cache / "runs" / "broken.json").write_text("{", encoding="utf-8")
    kept.main([])
    told = capsys.readouterr().out
    assert "model a\n" in told
    assert "p50_ms: 55.5, varied by" in told
    assert "broken.json: cannot be read" in told
    kept.main(["--forget"])
    assert "forgot 3 records" in capsys.readouterr().out
    assert Record(model="a").usual("p50_ms") is None


def test_the_control_that_helps_is_followed(cache: Path) -> None:
    """By what bounds the call until runs show which varies least with it; none, if none does."""
    rng, record = np.random.default_rng(3), Record(model="a")
    assert followed("compute", record) == "compute"
    for _ in range(LEARNED):
        state, noise = rng.normal(0, 0.1), rng.normal(0, 0.01)
        record.add({
            "p50_ms": float(np.exp(state + noise)), "launch_ratio": float(np.exp(noise)),
            "compute_ratio": float(np.exp(state / 2 + noise)),
        })  # fmt: skip
    assert followed("compute", record) == "compute"
    assert followed("launch", record) == "launch"
    against = Record(model="b")
    for _ in range(LEARNED):
        state = rng.normal(0, 0.1)
        values = {"p50_ms": np.exp(state), "memory_ratio": np.exp(3 * state)}
        against.add({name: float(value) for name, value in values.items()})
    assert followed("memory", against) is None


def test_the_control_is_timed_beside() -> None:
    """After the first call and the last, and between; the call after it is no sample."""
    order: list[str] = []

    class Played(Control):
        def __init__(self) -> None:
            self._rounds = Rounds()

        def restart(self, start: float) -> Rounds:
            order.append("control")
            return self._rounds

        def due(self, call_s: float) -> bool:
            return len(order) % 20 == 0

        def round(self) -> None:
            order.append("control")

        def last(self) -> None:
            order.append("control")

    def sample() -> tuple[float, None]:
        order.append("call")
        return 10.0, None

    rule = Rule(budget_s=5, min_samples=30, min_s=0, warmup_s=0.05, precision=1)
    timing = collect(sample, rule, Conditions(control=Played()))
    assert order[:2] == ["call", "control"]
    assert order[-1] == "control"
    inside = order[2:-1].count("control")
    assert inside > 0
    calls = order.count("call")
    assert calls == len(timing.warmup_ms) + len(timing.samples_ms) + inside
    assert len(timing.at_s) == len(timing.samples_ms)


def test_a_control_takes_a_small_share() -> None:
    """It is not due again before twenty times what it costs have passed."""
    control = Control(CPU)
    rounds = control.restart(0.0)
    assert not control.due(0.001)
    assert all(len(rounds.of(kind)) == 1 for kind in ("compute", "memory", "launch"))
    assert min(rounds.compute + rounds.memory + rounds.launch) > 0


def test_processes_share_a_budget() -> None:
    """Each takes its part; of a call that is too long for that, one takes all."""
    rule = Rule(budget_s=5, min_samples=30, min_s=1, max_samples=31, precision=0.01)
    each = rule.shared(5)
    assert (each.budget_s, each.min_samples, each.min_s, each.max_samples) == (1, 6, 0.2, 7)
    assert each.precision == pytest.approx(0.01 * 5**0.5)
    assert rule.warmup_s > LATER_WARMUP_S
    quick = collect(lambda: (400.0, None), replace(rule, max_samples=None), Conditions(processes=5))
    assert (quick.processes, len(quick.samples_ms)) == (5, 3)
    slow = collect(lambda: (900.0, None), replace(rule, max_samples=None), Conditions(processes=5))
    assert (slow.processes, len(slow.samples_ms)) == (1, 6)


def test_why_processes_differ() -> None:
    """The host, where a fixed calculation differs likewise; else something of the processes."""
    assert of_processes([10.0, 10.3, 10.1], [1.0, 1.0, 1.0]) == []
    (host,) = of_processes([10.0, 12.0, 11.9], [1.0, 1.19, 1.2])
    assert "differ by 20%" in host and "the host changed its speed" in host
    (own,) = of_processes([10.0, 12.0, 11.9], [1.0, 1.01, 1.0])
    assert "does not follow" in own
    (unknown,) = of_processes([10.0, 12.0], [None, None])
    assert "look for a neighbour" in unknown
    assert of_speed("compute", 1.03, 1.0, 9) == []
    (slower,) = of_speed("compute", 1.2, 1.0, 9)
    assert "20% slower than usual" in slower and "modelbench-record" in slower


def test_ratios_of_processes_are_joined() -> None:
    """The wider of what samples and processes say; one has its own."""
    own = Ratio(2.0, (1.98, 2.02), 10)
    assert over_processes([own]) is own
    alike = over_processes([own, own, own])
    assert alike.interval is not None
    assert alike.interval[1] - alike.interval[0] < 0.04
    assert alike.median == pytest.approx(2)
    assert alike.blocks == 30
    apart = over_processes([own, replace(own, median=2.2), replace(own, median=1.8)])
    assert apart.interval is not None
    assert apart.interval[0] < 1.8 and apart.interval[1] > 2.2
    assert over_processes([replace(own, interval=None)] * 2).interval is None


def test_exponents_of_processes_are_joined() -> None:
    """The fit is of the medians; processes that disagree widen its interval."""
    exact = {size: float(size) for size in (1, 2, 4, 8)}
    steeper = {size: float(size) ** 1.2 for size in (1, 2, 4, 8)}
    flatter = {size: float(size) ** 0.8 for size in (1, 2, 4, 8)}
    found = Power.over([exact, steeper, flatter])
    assert found is not None
    assert found.exponent == pytest.approx(1)
    assert found.interval[0] < 0.8
    assert found.interval[1] > 1.2
    assert Power.over([exact]) == Power.of(exact)
    assert Power.over([{1: 1.0}]) is None


class Pool:
    """Ends each stage at once; `benchmark` asks for further processes, some of which die."""

    def __init__(self, dying: Sequence[int] = (), stop_at: str = "") -> None:
        self.order: list[str] = []
        self._dying, self._stop_at, self._count = dying, stop_at, 0

    def run(self, stage: str, *_: Any) -> Result:
        """Run one."""
        self.order.append(stage)
        if stage == self._stop_at:
            raise KeyboardInterrupt
        metrics = {f"{stage}/p50_ms": Metric(1.0, "ms")}
        further = Further(4, "samples") if stage == "benchmark" else None
        return Result(stage, "passed", 1.0, metrics=metrics, further=further)

    def again(self, result: Result, *_: Any) -> Result:
        """Add to one."""
        assert result.further is not None
        self._count += 1
        self.order.append("again" if result.further.processes > 0 else "plots")
        if self._count in self._dying:
            return result.narrowed(Result(result.stage, "failed", 1.0, "killed by signal 9"))
        left = result.further.processes - 1
        further = Further(left, "samples") if left > 0 else None
        metrics = {"benchmark/p50_ms": Metric(2.0, "ms")}
        later = Result(result.stage, "passed", 1.0, metrics=metrics, further=further)
        return result.narrowed(later)


class Recorded:
    """A sink that writes down what it is given."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.recorded: list[Result] = []

    def progress(self, *_: str) -> None:
        """Do nothing."""

    def keep(self, result: Result) -> None:
        """Write it down."""
        self.kept.append(result.stage)

    def record(self, result: Result) -> None:
        """Write it down."""
        self.recorded.append(result)


def scheduled(pool: Pool, stages: Sequence[str]) -> tuple[Recorded, list[Result]]:
    """Run stages with one sink."""
    sink, results = Recorded(), list[Result]()
    settings: Mapping[str, Any] = {stage: {"timeout_s": 60} for stage in stages}
    given: Any = pool, settings, [sink], results
    with suppress(KeyboardInterrupt):
        Schedule(*given).run()
    return sink, results


@pytest.mark.parametrize(
    ("stages", "order"),
    [
        ("benchmark", "benchmark again again again again"),
        ("structure benchmark memory", "structure benchmark again again memory again again"),
        ("benchmark a b c d", "benchmark a again b again c again d again"),
        ("benchmark a b c d e f", "benchmark a b c again d again e again f again"),
    ],
)
def test_further_processes_are_spread_over_the_job(stages: str, order: str) -> None:
    """Evenly over the stages to come; the result is recorded once, when it is complete."""
    pool = Pool()
    sink, results = scheduled(pool, stages.split())
    assert pool.order == order.split()
    assert [result.stage for result in results] == stages.split()
    assert sorted(result.stage for result in sink.recorded) == sorted(stages.split())
    (found,) = [result for result in sink.recorded if result.stage == "benchmark"]
    assert found.metrics["benchmark/p50_ms"].value == 2
    assert found.seconds == 5
    assert (found.warnings, found.further) == ([], None)


def test_a_process_that_dies_between_others_costs_its_samples() -> None:
    """The warning stays; where the last one dies, another draws what is left to draw."""
    sink, _ = scheduled(Pool(dying=[2]), ["benchmark"])
    (found,) = sink.recorded
    assert found.status == "passed"
    (said,) = found.warnings
    assert "a further process was lost: killed by signal 9; the figures rest on the others" in said
    pool = Pool(dying=[1, 2, 3, 4])
    sink, _ = scheduled(pool, ["benchmark"])
    assert pool.order == ["benchmark", "again", "again", "again", "again", "plots"]
    assert len(sink.recorded[0].warnings) == 4
    pool = Pool(dying=range(1, 9))
    sink, _ = scheduled(pool, ["benchmark"])
    assert pool.order[-1] == "plots"
    assert sink.recorded[0].metrics["benchmark/p50_ms"].value == 1


def test_a_job_that_is_stopped_records_what_it_had() -> None:
    """Also a result that further processes would have added to."""
    sink, results = scheduled(Pool(stop_at="memory"), ["benchmark", "structure", "memory"])
    assert "benchmark" in sink.kept
    assert [result.stage for result in sink.recorded] == ["structure", "benchmark"]
    assert [result.stage for result in results] == ["benchmark", "structure"]


@pytest.mark.slow
def test_several_processes_of_a_real_job(command: Command) -> None:
    """Each with its samples, its time and its control; other stages run in between."""
    words = ["test=[benchmark,structure,visualization]", "test.benchmark.processes=3"]
    words += ["test.benchmark.batch_sizes=[1,2]"]
    done = command("model=toy", *words, "test.benchmark.min_s=0.3", "test.benchmark.control=true")
    assert done.status == 0
    stage = done.results["stages"]["benchmark"]
    metrics = {name.removeprefix("benchmark/"): m["value"] for name, m in stage["metrics"].items()}
    found = stage["details"]["forward"]
    processes = found["processes"]
    assert len(processes) == metrics["forward/processes"] == 3
    samples = stage["series"]["benchmark/forward/samples_ms"]
    assert sum(process["samples"] for process in processes) == len(samples)
    assert len(found["samples_at_s"]) == len(samples)
    assert found["samples_at_s"] == sorted(found["samples_at_s"])
    assert [process["at"] for process in processes] == sorted(p["at"] for p in processes)
    assert all(process["control_ms"]["compute"] > 0 for process in processes)
    assert metrics["forward/ci95_low_ms"] < metrics["forward/p50_ms"]
    assert metrics["forward/control_ratio_ci_low"] < metrics["forward/control_ratio"]
    assert metrics["control/launch_ms"] > 0
    low, p50, high = (
        stage["curves"][f"benchmark/forward/batch_{name}_ms"]
        for name in ("ci95_low", "p50", "ci95_high")
    )
    assert all(low[size] < p50[size] < high[size] for size in ("1", "2"))
    assert found["interval_rests_on"]
    assert any("the median of many runs lies between" in n for n in stage["details"]["notes"])
    assert list(done.results["stages"]) == ["benchmark", "structure", "visualization"]
    assert "plots/latency-forward.png" in stage["artifacts"]


def test_a_process_that_dies_in_a_real_job(command: Command, tmp_path: Path) -> None:
    """Is a warning; the samples of the others stand."""
    target = "model.build._target_=failing.DiesLater", f"+model.build.count='{tmp_path}/count'"
    done = command("model=toy", "test=benchmark", *target, "test.benchmark.processes=4")
    stage = done.results["stages"]["benchmark"]
    assert (done.status, stage["status"]) == (0, "passed")
    assert any("a further process was lost: " in warning for warning in stage["warnings"])
    assert stage["metrics"]["benchmark/forward/processes"]["value"] == 3
    assert "plots/latency-forward.png" in stage["artifacts"]


def test_the_cache_may_be_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note, and every figure."""
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("MODELBENCH_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("modelbench.stages.benchmark.samples.FEW", 99)
    monkeypatch.syspath_prepend(CONFIGS)
    context = Context(CPU, {}, tmp_path, tmp_path, lambda _: None)
    report = Benchmark(min_s=0.05, budget_s=0.2, processes=1, control=False)(
        workload("model=toy"), context
    )
    assert report.failure is None
    assert {"forward/p50_ms", "forward/mfu"} <= set(report.metrics)
    assert any("later runs will not know of this one: " in note for note in report.notes)


def test_without_a_control(command: Command) -> None:
    """Neither its times nor a ratio, and all else."""
    done = command("model=toy", "test=benchmark", "test.benchmark.control=false")
    metrics = done.results["stages"]["benchmark"]["metrics"]
    assert not any("control" in name for name in metrics)
    assert "benchmark/forward/p50_ms" in metrics
    wrong = command("model=toy", "test=benchmark", "test.benchmark.processes=0")
    assert wrong.status == 1
    assert "processes=0: expected null, or 1 to 100" in wrong.err


def test_a_disturbed_process_is_left_out_of_the_figures(cache: Path) -> None:
    """Its samples are kept, and a warning says so; with too few quiet ones all count."""
    timings = [Timing([10.0 + place] * 40, [10.0], settled=True, stopped=SPENT, at_s=[0.0] * 40)
               for place in (0, 0, 1, 90)]  # fmt: skip
    found = Sampled(timings, [[], [], [], ["hog"]], others=[0.0, 0.0, 0.0, 1.0])
    figures = PhaseFigures("forward", found, Record(a=1), Record(b=1))
    report = Report()
    figures.add(report, 1)
    assert report.metrics["forward/p50_ms"].value == 10
    assert report.metrics["forward/processes"].value == 4
    assert len(report.series["forward/samples_ms"]) == 160
    assert any("1 of 4 processes ran beside other busy ones" in w for w in report.warnings)
    assert figures.quiet
    loud = replace(found, others=[0.0, 1.0, 1.0, 1.0])
    assert not PhaseFigures("forward", loud, Record(a=1), Record(b=1)).quiet
