"""Two runs against each other: verdicts that rest on intervals, and what makes them none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import document, stage, write

from modelbench import compare as program
from modelbench.execution.comparing.commands import parted
from modelbench.measurement.comparison.comparison import (
    Comparison,
    NotComparableError,
    NothingToCompareError,
    compare,
)
from modelbench.measurement.comparison.effect import Effect, spread_over
from modelbench.measurement.comparison.meaning import meaning
from modelbench.measurement.timing.record import ASSUMED
from modelbench.results import Result
from modelbench.results.commands import _split_for_windows, words_of
from modelbench.results.reading import UnreadableError, read_results, value_of
from modelbench.sinks.comparison.page import page
from modelbench.sinks.comparison.text import markdown, plain

RNG = np.random.default_rng(0)
SURE = replace(ASSUMED, spread=0.002)
"""A machine that is known to repeat itself."""
P50 = "benchmark/forward/p50_ms"


def processes(middle: float, spread: float = 0.002, count: int = 5) -> list[list[float]]:
    """Draw samples of several processes about a median."""
    medians = middle * np.exp(RNG.normal(0, spread, count))
    return [(own * np.exp(RNG.normal(0, 0.01, 40))).tolist() for own in medians]


def effect(found: Comparison, name: str = P50) -> Effect:
    """Return the effect on one metric."""
    return next(each for each in found.effects if each.name == name)


@pytest.mark.parametrize(
    ("times", "verdict", "status"),
    [(1.0, "SAME", 0), (1.1, "SLOWER", 1), (0.9, "FASTER", 0), (1.017, "AMBIGUOUS", 3)],
)
def test_verdicts_on_a_machine_that_is_known(times: float, verdict: str, status: int) -> None:
    """SAME has to be shown as well; what follows from a median has its verdict."""
    wide = replace(SURE, spread=0.008) if verdict == "AMBIGUOUS" else SURE
    found = compare([document(processes(10), wide)], [document(processes(10 * times), wide)])
    assert effect(found).verdict == verdict
    assert effect(found, "benchmark/forward/items_per_s").verdict == verdict
    assert found.status == status
    ratio = effect(found).ratio
    assert ratio is not None and ratio.interval[0] < ratio.value < ratio.interval[1]


def test_a_single_process_tells_no_small_effect() -> None:
    """And says what it rests on; a great one it tells."""
    one = [document(processes(10, count=1))]
    found = compare(one, [document(processes(10.4, count=1))])
    assert effect(found).verdict == "AMBIGUOUS"
    assert "2.5% assumed between runs" in effect(found).why
    assert effect(compare(one, [document(processes(13, count=1))])).verdict == "SLOWER"


def test_equals_are_told_apart_in_five_of_a_hundred_at_most() -> None:
    """Over hosts whose runs vary as their record says, with many metrics at once."""
    wrong = 0
    for _ in range(200):
        sides = []
        for _ in range(2):
            made = document(processes(10 * float(np.exp(RNG.normal(0, 0.025)))))
            whole = made["stages"]["benchmark"]
            for phase in range(9):  # ten phases, each with a state of its own
                other = document(processes(10 * float(np.exp(RNG.normal(0, 0.025)))))
                text = json.dumps(other["stages"]["benchmark"])
                part = json.loads(text.replace("forward", f"phase{phase}"))
                for key in ("metrics", "series", "details"):
                    whole[key] |= part[key]
            sides.append(made)
        wrong += any(each.good is not None for each in compare(*([side] for side in sides)).effects)
    assert wrong <= 0.05 * 200 + 4


def test_the_control_is_taken_where_it_knows_better() -> None:
    """A machine at half of its speed is no slower model."""

    def halved(speed: float) -> dict[str, Any]:
        drift = np.exp(RNG.normal(0, 0.1, 5))
        samples = [[ms * own * speed for ms in process]
                   for process, own in zip(processes(10), drift, strict=True)]  # fmt: skip
        return document(samples, SURE, control=(2 * drift * speed).tolist())

    found = effect(compare([halved(1)], [halved(1.6)]))
    assert found.verdict != "SLOWER"
    assert found.ratio is not None and found.ratio.in_control
    assert found.ratio.value == pytest.approx(1, abs=0.02)
    assert found.candidate / found.baseline > 1.3


def test_what_was_timed_beside_busy_processes_is_ambiguous() -> None:
    """Whatever it says."""
    busy = document(processes(20), SURE)
    busy["stages"]["benchmark"]["details"]["forward"]["quiet"] = False
    found = compare([document(processes(10), SURE)], [busy])
    assert effect(found).verdict == "AMBIGUOUS"
    assert effect(found).why == "other processes were busy while the candidate was timed"


@pytest.mark.parametrize(
    ("name", "unit", "values", "verdict"),
    [
        ("quantization/int8/sqnr_db", "dB", (40.0, 30.0), "WORSE"),
        ("quantization/int8/sqnr_db", "dB", (40.0, 40.1), "SAME"),
        ("quantization/int8/coverage_macs", "share", (0.5, 0.9), "BETTER"),
        ("quantization/int8/accuracy", "share", (0.9, 0.8), "WORSE"),
        ("quantization/int8/size_mib", "MiB", (10.0, 5.0), "BETTER"),
        ("memory/inference_peak_mib", "MiB", (100.0, 150.0), "WORSE"),
        ("memory/inference_peak_mib", "MiB", (100.0, 101.0), "AMBIGUOUS"),
        ("algorithm/loss_last", "loss", (0.5, 2.0), "WORSE"),
        ("algorithm/dead_params", "count", (0.0, 3.0), "WORSE"),
        ("dynamic/failed", "count", (0.0, 1.0), "WORSE"),
        ("structure/params", "count", (10.0, 12.0), "CHANGED"),
        ("mine/tokens_per_s", "1/s", (10.0, 100.0), "FASTER"),
        ("mine/answer", "count", (42.0, 42.0), "SAME"),
    ],
)
def test_what_metrics_mean(name: str, unit: str, values: tuple[float, float], verdict: str) -> None:
    """Less is better of a latency, more of a fidelity, and nothing of a count."""
    sides = []
    for value in values:
        made = document()
        made["stages"][name.partition("/")[0]] = stage({name: (value, unit)})
        sides.append([made])
    assert effect(compare(*sides), name).verdict == verdict


@pytest.mark.slow
def test_every_metric_of_a_real_job_has_a_meaning(command: Callable[..., Any]) -> None:
    """Of its own, or by its unit: milliseconds are never taken to be exact."""
    done = command("model=toy", "test=all")
    for entry in done.results["stages"].values():
        for name, metric in entry["metrics"].items():
            if metric["unit"] in {"ms", "s", "1/s"}:
                assert meaning(name, metric["unit"]).known != "exact", name


def test_changes_of_structure_are_named() -> None:
    """With a stage that used to pass as a regression."""
    before, after = document(processes(10), params=100, macs_g=1), document(params=110, macs_g=1)
    after["stages"]["structure"]["details"]["output_shapes"] = {"0": [1, 12]}
    after["stages"]["benchmark"] = {**stage({}), "status": "failed", "reason": "out of memory"}
    found = compare([before], [after])
    told = [change.text for change in found.changes]
    assert "benchmark: passed became failed: out of memory" in told
    assert "output shapes: {'0': [1, 10]} became {'0': [1, 12]}" in told
    assert "params: 100 became 110 (+10.0%)" in told
    assert found.regressions == ["benchmark: passed became failed: out of memory"]
    assert found.status == 1


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("environment", "cpu"), "other", "cpu: CPU against other"),
        (("environment", "ram_gib"), 32.0, "ram_gib: 16 against 32"),
        (("environment", "torch_threads"), 1, "torch_threads: 2 against 1"),
        (("precision",), "bf16", "precision: fp32 against bf16"),
        (("axes", "image_size"), 16, "axes: batch_size=1, image_size=8 against batch_size=1, "
                                     "image_size=16"),
        (("config", "test", "benchmark", "budget_s"), 1.0,
         "test.benchmark.budget_s: 5.0 against 1.0"),
        (("environment", "gpu"), "H100", "gpu: nothing against H100"),
    ],
)  # fmt: skip
def test_other_machines_and_settings_are_refused(
    path: tuple[str, ...], value: Any, said: str
) -> None:
    """Unless they are asked for; then they are listed."""
    one, two = document(processes(10)), document(processes(10))
    node = two
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(NotComparableError) as error:
        compare([one], [two])
    assert said in error.value.lines
    found = compare([one], [two], across=True)
    assert f"differs: {said}" in markdown(found)


def test_what_may_be_compared_is_listed() -> None:
    """Versions, code and the model's keys."""
    one, two = document(processes(10)), document(processes(10))
    two["environment"] |= {"versions": {"torch": "2.14.1"}, "git_commit": "b" * 40}
    two["config"]["model"]["depth"] = 3
    two["config"]["test"]["benchmark"]["timeout_s"] = 1.0
    lines = compare([one], [two]).pairs[0].differences
    assert lines.refused == []
    assert "versions.torch: 2.13.0 against 2.14.1" in lines.other
    assert "model.depth: nothing against 3" in lines.other


def test_sweeps_are_compared_job_by_job() -> None:
    """By what tells their jobs apart; what only one has is said."""

    def sweep(sizes: list[int], times: dict[int, float]) -> list[dict[str, Any]]:
        made = []
        for size in sizes:
            job = document(processes(10 * times.get(size, 1)), SURE)
            job["axes"]["image_size"] = size
            made.append(job)
        return made

    found = compare(sweep([8, 16, 32], {}), sweep([32, 16, 64], {16: 1.2}))
    assert [pair.job for pair in found.pairs] == [
        "toy fp32 cpu batch_size=1 image_size=16", "toy fp32 cpu batch_size=1 image_size=32",
    ]  # fmt: skip
    slower = {P50, "benchmark/forward/items_per_s"}
    assert set(found.regressions) == {f"{found.pairs[0].job}: {name}" for name in slower}
    assert len(found.unmatched) == 2
    with pytest.raises(NothingToCompareError, match="no job in common"):
        compare(sweep([8, 16], {}), sweep([32, 64], {}))


def test_a_candidate_that_was_killed_or_lacks_jobs_is_no_good_news() -> None:
    """A stage that it never came to is a regression; of a missing job nothing can be told."""
    killed = document(params=1) | {"status": "running"}
    found = compare([document(processes(10), params=1)], [killed])
    assert found.regressions == ["benchmark: passed, and was not reached: its process was killed"]
    both = [document(processes(10), SURE) | {"axes": {"image_size": n}} for n in (8, 16)]
    less = compare(both, both[:1])
    assert (less.regressions, less.status) == ([], 3)


def test_jobs_that_differ_in_keys_of_the_model_are_matched_by_their_words() -> None:
    """In whatever order they ran, and where one is missing."""

    def job(depth: int, times: float = 1.0) -> dict[str, Any]:
        words = f"python -m modelbench model=toy model.depth={depth} tracker=none"
        return document(processes(10 * depth * times), SURE) | {"command": words}

    found = compare([job(3), job(4), job(5)], [job(5), job(4)])
    assert [pair.job.rpartition(" ")[2] for pair in found.pairs] == [
        "model.depth=4", "model.depth=5"
    ]  # fmt: skip
    assert not found.regressions
    assert len(found.unmatched) == 1
    cut_short = compare([job(3), job(4)], [job(3)])  # one side alone does not tell what varies
    assert [pair.job.rpartition(" ")[2] for pair in cut_short.pairs] == ["model.depth=3"]


def test_a_candidate_that_did_not_start_is_a_regression() -> None:
    """It knows neither its device nor what torch found of the machine, and that is no reason."""
    one = document(processes(10), SURE, params=1)
    broken = document() | {"status": "failed", "device": "auto", "reason": "no module mine"}
    one["environment"]["cpu_capability"] = "AVX2"
    del broken["environment"]["torch_threads"]
    found = compare([one], [broken])
    assert found.status == 1
    other = document(processes(10), SURE) | {"axes": {"image_size": 16}}
    assert len(compare([one, other], [broken, other]).pairs) == 2


def test_a_rate_of_other_work_does_not_follow_from_the_latency() -> None:
    """A smaller model is faster, and may reach less of the peak for it."""
    one, two = document(processes(10), SURE), document(processes(5), SURE)
    for made, mfu in ((one, 0.5), (two, 0.4)):
        made["stages"]["benchmark"]["metrics"]["benchmark/forward/mfu"] = {"value": mfu, "unit": ""}
    found = compare([one], [two])
    assert effect(found).verdict == "FASTER"
    assert effect(found, "benchmark/forward/mfu").verdict == "CHANGED"


@pytest.mark.parametrize(
    ("key", "value"),
    [("axes", None), ("environment", None), ("config", []), ("command", None), ("started", "x"),
     ("details", None), ("warnings", {})],
)  # fmt: skip
def test_what_was_edited_is_named(tmp_path: Path, key: str, value: Any) -> None:
    """Whatever has another kind of value than jobs write."""
    made = document(processes(10), SURE)
    place = made["stages"]["benchmark"] if key in {"details", "warnings"} else made
    place[key] = value
    with pytest.raises(UnreadableError, match=f"{key}.*edited by hand"):
        read_results(write(tmp_path / "job", made) / "results.json")


def test_calibration_runs_nothing_else(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other code, or another machine, says nothing of the baseline's spread."""
    assert run("base", "same", "--calibrate", "2") == 2
    assert "would not run as it did" in " ".join(capsys.readouterr().err.split())


def test_metrics_of_accelerators_and_of_nothing() -> None:
    """Times in the stream are parts of others; what is 0 in one run is no sure regression."""
    made = document(processes(10), SURE)
    metrics = made["stages"]["benchmark"]["metrics"]
    metrics["benchmark/forward/stream_p50_ms"] = {"value": 9.0, "unit": "ms"}
    other = copy.deepcopy(made)
    made["stages"]["memory"] = stage({"memory/inference_peak_mib": (0.0, "MiB")})
    other["stages"]["memory"] = stage({"memory/inference_peak_mib": (0.004, "MiB")})
    found = compare([made], [other])
    assert effect(found, "memory/inference_peak_mib").verdict == "AMBIGUOUS"
    assert found.status == 0


def test_older_results_lack_keys(tmp_path: Path) -> None:
    """Which are filled in, and nothing falls over them."""
    made = document(processes(10), SURE)
    for key in ("environment", "config", "command", "reason", "name", "test", "seed"):
        del made[key]
    for entry in made["stages"].values():
        for key in ("series", "curves", "reason", "seconds", "warnings", "artifacts"):
            entry.pop(key)
        for metric in entry["metrics"].values():
            del metric["unit"]
    file = write(tmp_path / "old", made) / "results.json"
    found = read_results(file)
    assert found["id"] == read_results(file)["id"]
    assert value_of(found, "image_size") == 8 and value_of(found, "model") == "toy"
    assert value_of(found, "model.depth") is None
    assert compare([found], [found | {"status": "failed"}]).effects
    assert Result.restored("x", {**found["stages"]["benchmark"], "new": 1}).status == "passed"


def test_calibration_knows_the_spread() -> None:
    """By which a small effect is told, or a large one is not."""
    narrow = spread_over([10, 10.01, 9.99, 10.0], [10.3], "")
    assert narrow is not None
    assert narrow.interval[0] > 1.02
    wide = spread_over([8, 12, 10, 9], [11], "")
    assert wide is not None
    low, high = wide.interval
    assert low < 0.8 and high > 1.3
    assert spread_over([10, 10], [11], "") is None
    runs = [document(processes(10 * times), SURE) for times in (1, 1.001, 0.999)]
    found = compare([runs[0]], [document(processes(10.4))], calibration={"": runs[1:] * 2})
    assert effect(found).verdict == "SLOWER"
    assert effect(found).why == "5 runs of the baseline"


def test_all_forms_show_the_same(tmp_path: Path) -> None:
    """Table, Markdown, JSON and page; names that mean something in HTML do nothing there."""
    one, two = document(processes(10), SURE), document(processes(13), SURE)
    two["stages"]["<b>"] = {**stage({}), "status": "failed", "reason": "<script>alert(1)</script>"}
    one["stages"]["<b>"] = stage({})
    found = compare([one], [two])
    content = plain(found)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    (p50,) = [entry for entry in content["effects"] if entry["metric"] == P50]
    assert p50["verdict"] == "SLOWER"
    assert p50["ci_low"] < p50["ratio"] < p50["ci_high"]
    assert f"| {P50} | " in markdown(found)
    written = page(found, "one", "two")
    assert written.count("<img") == 2
    assert "<script>alert" not in written and "&lt;script&gt;" in written


def run(*words: str) -> int:
    """Run the program; return its exit status."""
    with pytest.raises(SystemExit) as ended:
        program.main(list(words))
    return int(str(ended.value.code or 0))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make runs of several kinds, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    base = document(processes(10), SURE)
    write(tmp_path / "base", base)
    write(tmp_path / "same", document(processes(10), SURE))
    write(tmp_path / "slow", document(processes(12), SURE))
    write(tmp_path / "vague", document(processes(10.2)))
    write(tmp_path / "other", document(processes(10), SURE) | {"precision": "bf16"})
    write(tmp_path / "newer", base | {"schema": 2})
    write(tmp_path / "none", {"name": "no results"})
    edited = copy.deepcopy(base)
    edited["stages"]["benchmark"]["metrics"][P50]["value"] = "ten"
    write(tmp_path / "edited", edited)
    write(tmp_path / "bare", document())
    cut = write(tmp_path / "cut", base) / "results.json"
    cut.write_text(cut.read_text(encoding="utf-8")[:900], encoding="utf-8")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("candidate", "status", "said"),
    [
        ("same", 0, "no regression beyond 2%"),
        ("slow", 1, "2 regressions: benchmark/forward/"),
        ("vague", 3, "ambiguous: one metric may differ by more than 2%"),
        ("other", 4, "precision: fp32 against bf16"),
        ("newer", 2, "written by a newer modelbench (schema 2, this one reads 1)"),
        ("none", 2, "no results of modelbench: it lacks schema, status"),
        ("edited", 2, f"metrics.{P50}: expected a number (edited by hand?)"),
        ("cut", 2, "cut short or edited by hand: no JSON from line 1 on"),
        ("bare", 2, "the two have no metric in common (baseline passed with benchmark, "
                    "candidate passed with no stage)"),
        ("empty", 2, "no results.json below it"),
        ("nowhere", 2, "no such file or folder; expected a results.json, the folder of a job"),
        ("f" * 32, 2, "no MLflow store: MLFLOW_TRACKING_URI is not set"),
        ("latest model=toy", 2, "latest model=toy: no such run that has ended below outputs"),
    ],
)  # fmt: skip
def test_exit_statuses(
    folders: Path, capsys: pytest.CaptureFixture[str], candidate: str, status: int, said: str
) -> None:
    """Each with a sentence, and none with a traceback."""
    assert run("base", candidate) == status
    out, err = capsys.readouterr()
    assert said in " ".join((out + err).split())
    assert (folders / "compare.html").is_file() == (status in {0, 1, 3})


def test_wrong_words(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """End with status 2."""
    for words in (["base"], ["base", "same", "--threshold", "much"], ["base", "same", "--al"],
                  ["base", "same", "--threshold", "0"], ["base", "same", "--calibrate", "1"],
                  ["base", "same", "--markdown", "--json"]):  # fmt: skip
        assert run(*words) == (2 if words[-1] != "--al" else 0)
    assert "expected a share such as 1% or 0.01" in capsys.readouterr().err


def test_forms_of_output(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By option; the page where it is asked for, and a disk that refuses it costs only it."""
    assert run("base", "base/results.json", "--json", "--html", "a.html") == 0
    out, _ = capsys.readouterr()
    assert json.loads(out)["status"] == 0
    assert (folders / "a.html").is_file()
    assert run("base", "slow", "--markdown", "--html", "no/such/folder.html") == 1
    out, err = capsys.readouterr()
    assert out.startswith("**2 regressions")
    assert "could not be written" in err
    assert run("base", "other", "--across-machines", "--all") == 0
    assert "differs: precision: fp32 against bf16" in capsys.readouterr().out


def test_a_sweep_with_a_broken_job(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Leaves that job out, and says so."""
    for side in ("one", "two"):
        for number, name in enumerate(("base", "same")):
            content = json.loads((folders / name / "results.json").read_text(encoding="utf-8"))
            content["axes"]["image_size"] = 8 * (number + 1)
            write(folders / side / str(number), content)
    (folders / "two" / "1" / "results.json").write_text('{"schema": 1', encoding="utf-8")
    assert run("one", "two") == 3  # of the job that is missing, nothing can be told
    out, err = capsys.readouterr()
    assert "left out: two/1/results.json: cut short" in err.replace("\\", "/")
    assert "image_size=16 (baseline only)" in out


def test_the_latest_run(
    command: Callable[..., Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the folder of outputs, by its model and sizes; `~1` is the one before."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for size in (1, 2):
        command("model=toy", "test=structure", f"batch_size={size}")
    assert run("latest~1 model=toy", "latest") == 4
    assert "axes: batch_size=1 against batch_size=2" in " ".join(capfd.readouterr().err.split())
    assert run("latest batch_size=1", "latest~1") == 0


def test_runs_of_mlflow(
    command: Callable[..., Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their id, a job's or a sweep's, and the latest by a query."""
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    words = ["--multirun", "model=toy", "batch_size=1,2", "test=structure"]
    done = command(*words, tracker="mlflow")
    assert done.status == 0
    client = MlflowClient(f"sqlite:///{done.folder / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("modelbench")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    (sweep,) = (each.info.run_id for each in found if each.data.tags["kind"] == "sweep")
    jobs = [each.info.run_id for each in found if each.data.tags["kind"] == "job"]
    (folder,) = (done.folder / "outputs" / "sweeps").glob("*/*")
    assert run(sweep, str(folder)) == 0
    assert run(jobs[0], jobs[1]) == 4
    assert run("latest batch_size=2", "latest~1 model=toy") == 4
    assert run("latest batch_size=2", "latest model=toy precision=fp32") == 0
    assert run("latest batch_size=4", jobs[0]) == 2
    assert "latest batch_size=4: no such run" in capfd.readouterr().err


def test_runs_of_mlflow_without_results(
    command: Callable[..., Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Are passed over, since they were killed; words that MLflow cannot look for are refused."""
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = command("model=toy", "test=structure", tracker="mlflow")
    client = MlflowClient(f"sqlite:///{done.folder / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("modelbench")
    assert experiment is not None
    lost = client.create_run(experiment.experiment_id, tags={"kind": "job", "model": "toy"})
    client.set_terminated(lost.info.run_id, "KILLED")
    assert run("latest model=toy", "latest") == 0
    assert run(lost.info.run_id, "latest") == 2
    assert "but without a results.json" in capfd.readouterr().err
    assert run("latest model=o'brien", "latest") == 2
    assert "nothing with quotes in it" in capfd.readouterr().err


def test_words_of_a_command() -> None:
    """Whichever way it is written; where results go is not what is measured."""
    assert words_of("python -m modelbench model=unet tracker=none") == ["model=unet"]
    assert words_of("modelbench model=unet hydra.run.dir=x") == ["model=unet"]
    assert words_of("model=unet 'text=a b'") == ["model=unet", "text=a b"]
    assert words_of('model=unet text="a b" "x=\\"y\\""') == ["model=unet", "text=a b", 'x="y"']
    path = r"C:\a b\c"
    assert _split_for_windows(f'm=x "d={path}" "t=\\"y\\""') == ["m=x", f"d={path}", 't="y"']
    overrides, (folder,) = parted(["a=1", "--config-dir", "x", "b=2"])
    assert overrides == ["a=1", "b=2"]
    assert folder == Path("x").absolute()
    assert parted(["--config-dir=y"])[1] == [Path("y").absolute()]
