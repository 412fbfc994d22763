"""Every runtime computes what PyTorch does, whatever phase calls it, or says why it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONFIGS, Command
from torch import Tensor, nn

import modelbench
from modelbench.inputs.template import Template, signature
from modelbench.measurement.isolated import Ended
from modelbench.results import Skip
from modelbench.runtimes import onnx
from modelbench.runtimes.attachment import Attachment
from modelbench.runtimes.compiled import Aoti, Compile
from modelbench.runtimes.onnxruntime import OnnxRuntime
from modelbench.runtimes.openvino import OpenVino
from modelbench.runtimes.outputs import arrays, held_against, integers
from modelbench.runtimes.program import ExportError, Program
from modelbench.runtimes.remote import Remote
from modelbench.runtimes.runtime import Runtime
from modelbench.runtimes.variant import Variant
from modelbench.stages.recommend.bounds import Bounds, Tried, pareto, score
from modelbench.stages.recommend.command import command_of
from modelbench.stages.recommend.session import Plan, Session
from modelbench.stages.recommend.space import all_variants, first_variants
from modelbench.stages.recommend.study import Study

sys.path.insert(0, str(CONFIGS))
import slow

pytestmark = pytest.mark.filterwarnings("ignore")
CPU = torch.device("cpu")
QUICK = [OnnxRuntime(), OpenVino()]
SLOW = [Compile(), Aoti()]
EVERY = [*QUICK, *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW)]


def named(runtime: Any) -> str:
    """Name a case."""
    return type(runtime).__name__


# Structures


@dataclass
class Held:
    """Anything that holds tensors."""

    keys: list[Tensor]
    length: int = 3


def test_tensors_are_exchanged_in_any_structure() -> None:
    """Caches, dataclasses, one tensor in two places; the original stays as it is."""
    one, two = torch.ones(2), torch.zeros(3)
    given = ((one, {"cache": Held([two, one])}), {"flag": True})
    template = Template(given)
    assert [tensor is own for tensor, own in zip(template.tensors, (one, two), strict=True)] == [
        True, True,
    ]  # fmt: skip
    filled = template.fill([one + 1, two + 1])
    assert filled[0][0] is filled[0][1]["cache"].keys[1]
    assert filled[0][1]["cache"].keys[0].tolist() == [1, 1, 1]
    assert filled[1] == {"flag": True}
    assert given[0][1]["cache"].keys[0] is two


def test_calls_are_alike_by_types_ranks_and_constants() -> None:
    """Not by sizes."""

    def key(*args: Any, **kwargs: Any) -> Any:
        return signature((args, kwargs), Template((args, kwargs)).tensors)

    assert key(torch.ones(2, 3), use=True) == key(torch.ones(4, 5), use=True)
    assert key(torch.ones(2, 3), use=True) != key(torch.ones(2, 3), use=False)
    assert key(torch.ones(2, 3)) != key(torch.ones(2, 3, 1))
    assert key(torch.ones(2, 3)) != key(torch.ones(2, 3, dtype=torch.int64))


# One program


class Several(nn.Module):
    """Takes and returns structures."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, rows: Tensor, held: Held, scale: float = 2.0) -> dict[str, Any]:
        out = self.linear(rows) * scale + held.keys[0]
        return {"out": out, "held": Held([out.sum(-1)], held.length + 1), "none": None}


@pytest.mark.parametrize("runtime", EVERY, ids=named)
def test_outputs_are_those_of_pytorch(runtime: Runtime, tmp_path: Path) -> None:
    """In the same structure, at other sizes as well."""
    model = Several().eval()

    def given(rows: int) -> tuple[Any, ...]:
        return torch.rand(rows, 6), Held([torch.rand(rows, 6)])

    program = Program(model, model.forward, given(1), {"scale": 3.0})
    larger = Program(model, model.forward, given(2), {"scale": 3.0})
    built = runtime.build(program, larger.inputs, tmp_path / "program")
    assert built.dynamic[0][0]
    for rows in (1, 5):
        args = given(rows)
        with torch.inference_mode():
            wanted = model(*args, scale=3.0)
            found = program.outputs(built.engine.run(Template((args, {})).tensors))
        torch.testing.assert_close(found["out"], wanted["out"])
        torch.testing.assert_close(found["held"].keys[0], wanted["held"].keys[0])
        assert (found["held"].length, found["none"]) == (4, None)
    with torch.inference_mode():
        built.engine.bind(program.inputs)()


def test_a_program_is_exported_once_for_all_processes(tmp_path: Path) -> None:
    """What is there already is only loaded."""
    model = nn.Linear(4, 4).eval()
    program = Program(model, model.forward, (torch.rand(2, 4),), {})
    first = OnnxRuntime().build(program, program.inputs, tmp_path / "program")
    assert first.file is not None
    written = first.file.stat().st_mtime_ns
    again = OnnxRuntime().build(program, program.inputs, tmp_path / "program")
    assert again.dynamic == first.dynamic
    assert first.file.stat().st_mtime_ns == written


def test_control_flow_on_data_is_one_line(tmp_path: Path) -> None:
    """As the reason."""
    model = slow.Breaks().eval()
    program = Program(model, model.forward, (torch.rand(2, 8),), {})
    with pytest.raises(ExportError, match=r"^torch.export: .*") as caught:
        OnnxRuntime().build(program, program.inputs, tmp_path / "program")
    assert "\n" not in str(caught.value)


def test_int8_keeps_what_is_between_products(tmp_path: Path) -> None:
    """Quantized by ONNX Runtime, and run by both."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)).eval()
    images = [torch.rand(1, 3, 16, 16) for _ in range(4)]
    program = Program(model, model.forward, (images[0],), {})
    with torch.inference_mode():
        wanted = model(images[0])
    for runtime in QUICK:
        built = runtime.build(program, program.inputs, tmp_path / named(runtime),
                              [[image] for image in images])  # fmt: skip
        assert built.file is not None
        assert built.file.name.endswith("-int8.onnx")
        found = program.outputs(built.engine.run(program.inputs))
        noise = (found - wanted).square().mean() / wanted.square().mean()
        assert 0 < noise < 0.01


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is exported."""
    with monkeypatch.context() as patch:
        patch.setattr(OnnxRuntime, "packages", ("onnx", "no_such_package"))
        assert OnnxRuntime().unavailable(CPU) == (
            'no_such_package is not installed; pip install -e ".[runtimes]"'
        )
    on_gpu = OnnxRuntime(providers=["TensorrtExecutionProvider"])
    assert "TensorrtExecutionProvider needs a GPU" in str(on_gpu.unavailable(CPU))
    assert "no TensorrtExecutionProvider" in str(on_gpu.unavailable(torch.device("cuda")))
    assert OpenVino().unavailable(torch.device("cuda")) is not None
    with pytest.raises(Skip, match="no bfloat16 of its own"):
        OnnxRuntime().at(torch.bfloat16)


# In the place of a model


class Two(nn.Module):
    """Has parts that phases call one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 2)

    def encode(self, rows: Tensor) -> Tensor:
        return torch.relu(self.first(rows))

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.second(self.encode(rows))
        return found


def test_methods_and_sizes_run_in_the_runtime() -> None:
    """The outermost modules of each call are exported, once for all sizes that stay open."""
    model = Two().eval()
    one, many = torch.rand(2, 6), torch.rand(5, 6)
    with torch.inference_mode():
        wanted = [model(one), model(many), model.encode(one)]
    attachment = Attachment(model, OnnxRuntime(), lambda _: None)
    with torch.inference_mode():
        found = [model(one), model(many), model.encode(one)]
        bound = attachment.single(partial(model, one))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)
    assert {path: len(built) for path, built in attachment.built.items()} == {"": 1, "first": 1}
    assert bound is not None
    bound()
    with attachment.native():
        assert "forward" not in model.__dict__
    assert "forward" in model.__dict__


def test_sizes_that_were_fixed_are_exported_again() -> None:
    """And both stay."""
    model = Two().eval()
    attachment = Attachment(model, OnnxRuntime(dynamic=False), lambda _: None)
    with torch.inference_mode():
        for rows in (2, 5, 2):
            assert model(torch.rand(rows, 6)).shape == (rows, 2)
    assert len(attachment.built[""]) == 2


def given_always(larger: list[Tensor] | None, _: Any) -> list[Tensor] | None:
    """Return a batch of another size, whatever is asked for."""
    return larger


class Overclaims(OnnxRuntime):
    """Says that all sizes stay open, and fixes them in its file."""

    def export(self, program: Program, examples: Sequence[Tensor], file: Path) -> list[list[bool]]:
        fixed = onnx.write(program, examples, file, dynamic=False)
        return [[True for _ in each] for each in fixed]


def test_sizes_that_an_export_wrongly_leaves_open_are_exported_again() -> None:
    """Once each, also where the first export was of twice the batch."""
    for larger in (None, [torch.rand(4, 6)]):
        model = Two().eval()
        attachment = Attachment(model, Overclaims(), partial(given_always, larger))
        with torch.inference_mode():
            for rows in (2, 5, 2, 5):
                assert model(torch.rand(rows, 6)).shape == (rows, 2)
        assert len(attachment.built[""]) == 2


# Processes


class Dies:
    """Something that a runtime may do."""

    def answer(self, number: int) -> int:
        return 2 * number

    def die(self) -> None:
        os._exit(3)

    def wrong(self) -> None:
        raise ValueError("no")

    def sleep(self) -> None:
        time.sleep(60)


def test_a_side_that_dies_says_how() -> None:
    """And one that raises goes on."""
    remote = Remote(Dies, CPU)
    try:
        assert remote.ask("answer", 4) == 8
        with pytest.raises(ValueError, match="no"):
            remote.ask("wrong")
        assert remote.ask("answer", 5) == 10
        with pytest.raises(Ended, match="3"):
            remote.ask("die")
    finally:
        remote.close()


def test_outputs_of_other_shapes_are_an_error() -> None:
    """With both shapes."""
    one, other = ({"0": torch.rand(*size).numpy()} for size in ((2, 3), (2, 4)))
    with pytest.raises(ValueError, match=r"\[2, 4\], those of PyTorch 0 \[2, 3\]"):
        held_against([one], [other])


def test_outputs_that_are_not_finite_are_an_error() -> None:
    """Unless PyTorch masks the same places; tokens are compared as they are."""
    masked = arrays(torch.tensor([1.0, -torch.inf, 2.0]))
    assert held_against([masked], [masked]).sqnr_db_min == float("inf")
    wrong = arrays(torch.tensor([1.0, -torch.inf, torch.nan]))
    with pytest.raises(ValueError, match="infinity or NaN where"):
        held_against([masked], [wrong])
    with pytest.raises(ValueError, match="PyTorch's own outputs are not numbers"):
        held_against([wrong], [wrong])
    with pytest.raises(ValueError, match="numbers where PyTorch's have infinity"):
        held_against([masked], [arrays(torch.tensor([1.0, 3.0, 2.0]))])
    huge = arrays(torch.tensor([1.0, -65504.0, 2.0]))
    assert held_against([masked], [huge]).sqnr_db_min == float("inf")
    first, second = arrays(torch.tensor([1, 2])), arrays(torch.tensor([1, 3]))
    assert integers([first])
    assert not integers([masked])
    assert held_against([first], [second]).sqnr_db_min < 10


def test_a_time_limit_is_no_crash() -> None:
    """It is said as it is, and the process is gone."""
    remote = Remote(Dies, CPU)
    with pytest.raises(TimeoutError, match="the time limit"):
        remote.ask("sleep", until=time.monotonic() + 0.2)
    assert remote.closed


# The stages


def test_a_benchmark_in_another_runtime(command: Command) -> None:
    """Its name, its MACs and its export time are there."""
    done = command("model=toy", "test=benchmark", "runtime=onnxruntime")
    stage = done.results["stages"]["benchmark"]
    assert (done.status, stage["reason"]) == (0, None)
    assert done.results["name"].endswith("-onnxruntime")
    metrics = stage["metrics"]
    assert {"benchmark/forward/p50_ms", "benchmark/forward/export_s"} <= metrics.keys()
    assert metrics["benchmark/forward/macs_g"]["value"] > 0
    assert not (done.files[0].parent / "exported").exists()


def test_a_module_in_hand_in_another_runtime(tmp_path: Path) -> None:
    """From Python, by the runtime's name."""
    quick = ["test.benchmark.budget_s=0.2", "test.benchmark.processes=1",
             "test.benchmark.batch_sizes=[]", "test.benchmark.roofline=false"]  # fmt: skip
    found = modelbench.measure(
        nn.Linear(4, 2), torch.rand(2, 4), test="benchmark", runtime="onnxruntime",
        folder=tmp_path / "run", overrides=quick,
    )  # fmt: skip
    assert found.status == "passed", found.reason
    assert found["benchmark/forward/export_s"] > 0


def test_runtimes_side_by_side(command: Command) -> None:
    """Speed with its interval, fidelity, sizes that stay open; one that fails costs itself."""
    words = ["test.runtimes.runtimes=[onnxruntime,openvino,tensorrt]",
             "test.runtimes.budget_s=0.5"]  # fmt: skip
    done = command("model=toy", "test=runtimes", *words)
    stage = done.results["stages"]["runtimes"]
    assert (done.status, stage["reason"]) == (0, None)
    for name in ("onnxruntime", "openvino"):
        found = {key for key in stage["metrics"] if key.startswith(f"runtimes/{name}/")}
        shorts = {key.rpartition("/")[2] for key in found}
        assert {"p50_ms", "speedup", "speedup_ci_low", "speedup_ci_high", "export_s", "size_mib",
                "coverage", "max_abs_error", "peak_mib"} <= shorts  # fmt: skip
        assert stage["details"][name]["axes"] == {"batch_size": "dynamic"}
    assert "TensorrtExecutionProvider" in stage["details"]["skipped"]["tensorrt"]
    assert "plots/runtimes.svg" in stage["artifacts"]
    assert "runtimes against eager PyTorch" in done.out


def test_what_cannot_be_exported_fails_alone(command: Command) -> None:
    """With its reason."""
    words = ["test.runtimes.runtimes=[onnxruntime]", "test.runtimes.budget_s=0.2",
             "model.build._target_=slow.BreaksOnImages"]  # fmt: skip
    done = command("model=planted", "test=[runtimes,fine]", *words)
    assert done.status == 1
    assert "onnxruntime: torch.export: " in done.results["stages"]["runtimes"]["reason"]
    assert done.results["stages"]["fine"]["status"] == "passed"


RECOMMEND = ("test.recommend.runtimes=[eager,onnxruntime]", "test.recommend.precisions=[fp32]",
             "test.recommend.prove_s=1", "test.recommend.budget_s=60")  # fmt: skip


@pytest.mark.slow
def test_a_recommendation_with_its_evidence(command: Command, tmp_path: Path) -> None:
    """What was tried, why each lost, the command; and an artifact that runs without modelbench."""
    shipped = tmp_path / "shipped"
    done = command("model=cnn", "test=recommend", *RECOMMEND, f"test.recommend.export={shipped}")
    stage = done.results["stages"]["recommend"]
    assert (done.status, stage["reason"]) == (0, None)
    assert stage["metrics"]["recommend/tried"]["value"] >= 2
    assert "test=benchmark" in stage["details"]["command"]
    tried = {each["label"]: each["lost"] for each in stage["details"]["tried"]}
    assert {"eager fp32", "onnxruntime fp32"} <= tried.keys()
    assert stage["details"]["pareto"]
    script = [sys.executable, "-I", str(shipped / "run.py")]
    ran = subprocess.run(script, capture_output=True, text=True, check=False, cwd=shipped)
    assert ran.returncode == 0, ran.stderr
    assert "median" in ran.stdout
    apart = float(ran.stdout.split("at most ")[1].split(" ")[0])
    assert apart < 1e-3
    assert "modelbench" not in (shipped / "run.py").read_text(encoding="utf-8")


@pytest.mark.slow
def test_bounds_that_nothing_meets_name_the_nearest(command: Command) -> None:
    """And the stage fails."""
    done = command("model=cnn", "test=recommend", *RECOMMEND, "test.recommend.max_mib=0.001")
    stage = done.results["stages"]["recommend"]
    assert stage["status"] == "failed"
    assert "nothing meets the bounds; the nearest is " in stage["reason"]
    assert "over 0.001" in stage["reason"]


def test_wrong_settings_are_configuration_errors(command: Command) -> None:
    """All of them together."""
    done = command("model=toy", "runtime=onnxrt")
    assert done.status == 1
    assert "did you mean onnxruntime" in done.err
    words = ["test.recommend.objective=speed", "test.recommend.runtimes=[eager,openvin]"]
    done = command("model=toy", "test=recommend", *words)
    assert "expected latency, throughput, memory" in done.err
    assert "unknown runtime openvin; did you mean openvino" in done.err


def test_the_command_is_the_job_s_own() -> None:
    """With its folders and sizes, and what was chosen in the place of what was asked for."""
    own = "python -m modelbench model=mine test=recommend test.recommend.budget_s=9 batch_size=2 "
    chosen = Variant("onnxruntime", "int8", threads=1, batch_size=8)
    assert command_of(chosen, own + "precision=fp32 --config-dir /own") == (
        "python -m modelbench model=mine --config-dir /own runtime=onnxruntime precision=int8 "
        "device.threads=1 batch_size=8 test=benchmark"
    )


class Waiting:
    """A process of which only it is asked whether it has ended."""

    def __init__(self, closed: bool) -> None:
        self.closed, self.until = closed, 0.0

    def ask(self, name: str, *args: Any, until: float) -> str:
        self.until = until
        return name


def test_a_default_that_was_ended_is_started_with_time_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The limit at which it was ended is that of the search, and not of the stage."""
    session = object.__new__(Session)
    fresh: Any = Waiting(closed=False)
    monkeypatch.setattr(Session, "_start", lambda *_: fresh)
    vars(session).update(
        _default=Waiting(closed=True), _until=1.0, _end=9.0, _open=[], _judged=False,
        _usual=Tried(Variant()), _plan=Plan("forward", "latency", 1, 1, 1, False, None),
    )  # fmt: skip
    session._restart_default()
    assert vars(session)["_default"] is fresh
    assert (fresh.until, session._until) == (9.0, 1.0)


@pytest.mark.slow
def test_throughput_over_batch_sizes(command: Command) -> None:
    """Samples count, not calls; a size that the model has not is refused."""
    words = ["model=toy", "test=recommend", *RECOMMEND, "test.recommend.objective=throughput"]
    done = command(*words, "test.recommend.batch_sizes=[1,16]")
    stage = done.results["stages"]["recommend"]
    assert (done.status, stage["reason"]) == (0, None)
    assert stage["details"]["chosen"]["batch_size"] == 16
    assert stage["metrics"]["recommend/speedup"]["value"] > 1
    assert "batch_size=16" in stage["details"]["command"]


# The search


def variants() -> tuple[list[Variant], list[Variant]]:
    """Return every combination of two runtimes and precisions, and those that come first."""
    engines: dict[str, Any] = {"eager": None, "other": {"_target_": "x"}}
    schemes: dict[str, Any] = {"fp32": None, "int8": {"_target_": "y"}}
    return (all_variants(engines, schemes, [], images=True),
            list(first_variants(engines, schemes, [])))  # fmt: skip


def test_the_search_tries_each_way_once() -> None:
    """First each runtime in each precision; all of them, given the time."""
    every, first = variants()
    labels = [variant.label for variant in every]
    assert len(labels) == len(set(labels))
    assert (
        sum(variant.channels_last for variant in every) == 2
    )  # eager fp32, on few threads and on all
    for exhaustive in (True, False):
        study, seen = Study(every, first, 0, exhaustive=exhaustive), []
        for variant in study.candidates():
            seen.append(variant.label)
            study.tell(variant, 1.0)
        assert seen[: len(first)] == [variant.label for variant in first]
        assert len(seen) == len(set(seen))
        assert set(seen) == set(labels) or not exhaustive


def test_what_is_far_behind_is_given_up() -> None:
    """After as many samples as those before it; never where all are asked for."""
    every, first = variants()
    for exhaustive in (False, True):
        study = Study(every, first, 0, exhaustive=exhaustive)
        candidates, given_up = study.candidates(), []
        for found in (0.2, 0.25, 0.9):
            variant = next(candidates)
            given_up.append(any(study.hopeless(variant, rung, found) for rung in range(3)))
            study.tell(variant, found)
        assert given_up[2] is not exhaustive
        assert not given_up[0]


def test_bounds_and_the_front() -> None:
    """In words; the front has what no other one beats."""
    bounds = Bounds(40.0, None, 30.0, 5.0)
    slow_one = Tried(Variant(), 9.0, 1.0, 60.0, 20.0)
    wrong = Tried(Variant("other"), 1.0, 0.1, 12.0, 40.0)
    assert bounds.broken(slow_one) == ["9 ms, over 5"]
    assert bounds.broken(wrong) == ["12.0 dB, under 40", "40.0 MiB, over 30"]
    assert bounds.distance(slow_one) == pytest.approx(0.8)
    beaten = Tried(Variant("third"), 9.5, 1.1, 60.0, 20.0)
    assert pareto([slow_one, wrong, beaten]) == [slow_one, wrong]
    wide = Tried(Variant(batch_size=8), 9.0, 4.0, 60.0, 20.0, by_sample=True)
    assert score(wide, "throughput") == 0.5
    assert pareto([slow_one, wide]) == [wide]
    assert score(Tried(Variant(batch_size=8), 9.0, 4.0), "latency") == 4.0
    assert score(slow_one, "memory") == 20.0
    assert score(Tried(Variant()), "latency") == float("inf")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "runtime"),
    [("gpt2 sequence_length=16 model.new_tokens=3", "openvino"), ("clip", "onnxruntime"),
     ("stable_diffusion model.variant=tiny model.steps=2", "onnxruntime")],
)  # fmt: skip
def test_all_phases_of_all_models(command: Command, model: str, runtime: str) -> None:
    """Those with caches, methods and several parts."""
    done = command(*f"model={model}".split(), "test=benchmark", f"runtime={runtime}",
                   "test.benchmark.roofline=false")  # fmt: skip
    stage = done.results["stages"]["benchmark"]
    assert (done.status, stage["reason"]) == (0, None)
