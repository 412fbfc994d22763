"""The profile adds up, names what is slow and why, and takes whatever models do."""

from __future__ import annotations

import gzip
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CONFIGS, Command
from torch import nn

import modelbench
from modelbench.inputs.batch import Batch
from modelbench.measurement.profiling.calls import Calls, Spans
from modelbench.measurement.profiling.captured import capture
from modelbench.measurement.profiling.cost import Cost
from modelbench.measurement.profiling.layer_times import LayerTimes, Rule, time_layers
from modelbench.measurement.profiling.recorder import How, record
from modelbench.measurement.profiling.recording import OUTSIDE, read
from modelbench.measurement.profiling.work import work_of
from modelbench.stages.profile.causes import Suspect, causes_of
from modelbench.stages.profile.compiled import explained
from modelbench.stages.profile.plots import draw_icicle
from modelbench.stages.profile.remedies import REMEDIES, Trial, try_remedy
from modelbench.stages.profile.rows import Row, Sources, kinds_of, rows_of
from modelbench.stages.profile.suspects import Scene, findings_of
from modelbench.stages.profile.tree import Branch, tree_of

sys.path.insert(0, str(CONFIGS))
import slow

CPU = torch.device("cpu")
ROWS = torch.rand(2, 8)
WIDE = torch.rand(2, slow.WIDE)
RULE = Rule(budget_s=0.05, min_blocks=2, max_blocks=6, warmup_s=0.01)


def timed(model: nn.Module, rows: torch.Tensor = ROWS) -> tuple[LayerTimes, list[Row]]:
    """Time a model's layers."""
    model.eval()
    times = time_layers(model, lambda: model(rows), CPU, RULE)
    work = work_of(lambda m, b: lambda: b.call(m), model, Batch((rows,), {}), quick=True)
    return times, rows_of(Sources(times, work, None, dict(model.named_modules()), None))


def calls_of(times: LayerTimes) -> dict[str, float]:
    """Return how often each module was called."""
    return {path: times.called(i) for i, path in enumerate(times.paths)}


# What a call takes


def test_own_times_are_without_what_is_within() -> None:
    """And a module within itself is there once."""
    spans = Spans(
        np.array([0, 1, 0, 1]), np.array([-1, 0, 0, 2]), np.zeros(4, np.int64),
        np.array([0.0, 1.0, 4.0, 5.0]), np.array([10.0, 3.0, 9.0, 7.0]),
    )  # fmt: skip
    assert spans.own().tolist() == [3.0, 2.0, 3.0, 2.0]
    assert spans.own().sum() == 10.0
    assert spans.outermost().tolist() == [1.0, 1.0, 0.0, 1.0]


def test_modules_are_as_they_were_afterwards() -> None:
    """Also where one had a forward of its own."""
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval()
    own = model[1].forward
    model[1].forward = own
    before = dict(model[1].__dict__)
    timed(model)
    assert "forward" not in model[0].__dict__
    assert model[1].__dict__ == before


def test_the_fast_path_of_transformers_is_what_is_timed() -> None:
    """Hooks would have it left; what its layers would compute is given to it."""
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    times, rows = timed(model, torch.rand(2, 4, 8))
    calls = calls_of(times)
    assert calls["layers.0"] == 1
    assert calls["layers.0.linear1"] == 0
    by_path = {row.path: row for row in rows}
    attention = 2 * (4 * 8 * 24 + 4 * 8 * 8 + 2 * 4 * 4 * 8)
    assert by_path["layers.0"].macs == attention + 2 * 4 * 2 * 8 * 16
    assert by_path["layers.0"].leaf
    assert sum(row.params for row in rows) == sum(p.numel() for p in model.parameters())


@pytest.mark.filterwarnings("ignore")  # of dynamo itself
def test_parts_that_are_compiled_stay_whole() -> None:
    """What is within is not watched: a clock there would break the graph."""
    block = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    whole: Any = torch.compile(block, backend="eager", fullgraph=True)
    model = nn.Sequential(whole, nn.Linear(8, 2))
    times, rows = timed(model)
    calls = calls_of(times)
    assert calls["0"] == calls["1"] == 1
    assert calls["0._orig_mod.0"] == 0
    assert {row.path for row in rows if row.leaf} >= {"1"}


def test_what_runs_in_few_passes_has_its_share() -> None:
    """On average, so that all rows add up."""
    times = LayerTimes(["", "rare"], ["Net", "Linear"], plain_ms=[10.0] * 4)
    for share in (0.0, 0.0, 0.4):
        times.own.append(np.array([1 - share, share]))
        times.total.append(np.array([1.0, share]))
        times.calls.append(np.array([1.0, float(share > 0)]))
        times.outside.append(0.0)
    modules = {"": nn.Module(), "rare": nn.Linear(2, 2)}
    rows = rows_of(Sources(times, None, None, modules, None))
    assert {row.path: round(row.share, 3) for row in rows if row.kind} == {
        "": 0.867, "rare": 0.133
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of the prototype
def test_inputs_without_strides_are_taken_as_they_are() -> None:
    """Nested and sparse ones."""
    nested = torch.nested.nested_tensor([torch.rand(2, 4), torch.rand(3, 4)])
    sparse = torch.eye(3).to_sparse()
    outer = nn.ModuleList([nn.Module()])
    outer[0].forward = lambda *given: given[0]
    found = capture(outer, lambda: outer[0](nested, sparse), {"0"})["0"]
    assert found.tensors[0].is_nested
    row = Row("0", "Module", 1, 1.0, None, None, 1.0, 1.0, 1.0, True, 0, None, None, None, None,
              "", "", {})  # fmt: skip
    assert not list(causes_of(Suspect(row, ("0",), 1.0, found)))


def test_a_tree_without_time_has_no_picture(tmp_path: Path) -> None:
    """Where a phase runs no module."""
    assert draw_icicle(Branch("", "Net", ""), "nothing", tmp_path, "flame") == []


def test_a_layer_called_twice_counts_twice_and_its_parameters_once() -> None:
    """And one called by its method counts."""
    times, rows = timed(slow.Shared())
    assert calls_of(times) == {"": 1, "first": 2, "named": 1}
    assert sum(row.params for row in rows) == 2 * (64 + 8)
    assert {row.path: row.macs for row in rows}["first"] == 2 * 2 * 64


def test_a_model_that_calls_itself_is_no_longer_than_its_call() -> None:
    """Its time with children is that of the outermost call."""
    times, rows = timed(slow.Recursive())
    assert calls_of(times) == {"": 3, "linear": 3}
    root = next(row for row in rows if row.path == "")
    assert root.own_ms < root.total_ms <= 1.5 * times.median_ms


def test_a_generator_takes_time_when_it_is_asked() -> None:
    """Not when it is made."""
    times, rows = timed(slow.Driven())
    assert calls_of(times) == {"": 1, "source": 1}
    assert rows[0].path == "source"
    assert rows[0].own_ms > 10


def test_modules_that_come_while_it_runs_are_named() -> None:
    """Their time stands with the module around."""
    times, _ = timed(slow.Replaces())
    assert times.replaced == ["layer"]
    assert calls_of(times)["layer"] == 0


def test_what_other_threads_call_is_left_out() -> None:
    """Their times would not nest."""
    times, _ = timed(slow.Threaded())
    assert calls_of(times) == {"": 1, "layer": 1, "aside": 0}


def test_a_layer_that_raises_ends_where_it_does() -> None:
    """And the model goes on."""
    times, _ = timed(slow.Catches())
    assert calls_of(times) == {"": 1, "narrow": 1, "layer": 1}


def test_scripted_parts_are_one_layer() -> None:
    """Of what is within nothing can be watched."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = slow.Half()
    times, _ = timed(model)
    calls = calls_of(times)
    assert calls["scripted"] == 1
    assert calls["scripted.0"] == 0


def test_a_model_without_submodules_is_a_row() -> None:
    """Of all its time."""
    _, rows = timed(nn.Linear(8, 8))
    assert [row.path for row in rows if row.kind] == [""]


def test_ten_thousand_modules() -> None:
    """Those too short to time are one row."""
    model = nn.Sequential(*(nn.Identity() for _ in range(10_000)))
    times, rows = timed(model)
    assert sum(calls_of(times).values()) == 10_001
    assert any("modules under" in row.path for row in rows)
    tree = tree_of(rows, dict(zip(times.paths, times.kinds, strict=True)))
    assert tree.total_ms > 0


def test_a_second_watch_tells_what_the_first_one_costs() -> None:
    """And adds no calls."""
    model = slow.Shared().eval()
    calls = Calls(model, float)
    with calls, calls.again():
        model(ROWS)
    assert len(calls.spans().module) == 4
    cost = Cost(0.1, 0.3)
    assert cost.here(more_ms=8.0, spans=10).parts == pytest.approx((0.2, 0.6))
    assert cost.here(more_ms=1.0, spans=10) == cost


# Tables


def row(path: str, kind: str, ms: float = 1.0, **given: Any) -> Row:
    """Make a row."""
    plain: dict[str, Any] = {
        "calls": 1, "low_ms": None, "high_ms": None, "total_ms": ms, "share": ms / 100,
        "cumulative_share": 0.0, "leaf": True, "params": 1, "macs": 10, "gmacs_per_s": None,
        "peak_share": None, "bytes": 8, "inputs": "2x8", "outputs": "2x8", "operators": {},
    }  # fmt: skip
    return Row(path=path, kind=kind, own_ms=ms, **{**plain, **given})


def test_blocks_that_repeat_are_folded() -> None:
    """As in the picture; q and k are not, nor is a block that differs."""
    kinds = {"": "Net", "h": "ModuleList"}
    rows = [row("", "Net", leaf=False)]
    for block in range(4):
        kinds |= {f"h.{block}": "Block", f"h.{block}.q": "Linear", f"h.{block}.k": "Linear"}
        rows += [row(f"h.{block}.{name}", "Linear", 2.0) for name in "qk"]
    kinds["h.3.more"] = "ReLU"
    rows.append(row("h.3.more", "ReLU"))
    tree = tree_of(rows, kinds)
    assert [(depth, b.label, b.total_ms) for depth, b in tree.walk()] == [
        (0, "Net", 18.0), (1, "h.0 to 2: Block ×3", 12.0), (2, "q: Linear", 6.0),
        (2, "k: Linear", 6.0), (1, "h.3: Block", 5.0), (2, "q: Linear", 2.0),
        (2, "k: Linear", 2.0), (2, "more: ReLU", 1.0),
    ]  # fmt: skip
    assert tree.all_macs == 10 * len(rows)


def test_blocks_that_are_no_neighbours_stay_apart() -> None:
    """Between 1 and 3 there is one that was not called, or is another."""
    kinds = {"": "Net"} | {f"h.{number}": "Linear" for number in (0, 1, 3)}
    tree = tree_of([row(path, kind) for path, kind in kinds.items()], kinds)
    assert [child.label for child in tree.children] == ["h.0 to 1: Linear ×2", "h.3: Linear"]


def test_kinds_add_up_to_the_rows() -> None:
    """Containers stand for what is between their layers."""
    rows = [row("a", "Linear", 3.0), row("b", "Linear"), row("", "Net", 2.0, leaf=False)]
    found = {kind.name: (kind.count, kind.ms) for kind in kinds_of(rows)}
    assert found == {"Linear": (2, 4.0), "Net (between its layers)": (1, 2.0)}


# Operators


def trace_file(folder: Path, events: list[dict[str, Any]]) -> Path:
    """Write a trace as the profiler does."""
    file = folder / "trace.json.gz"
    with gzip.open(file, "wt", encoding="utf-8") as stream:
        json.dump({"traceEvents": events}, stream)
    return file


def event(name: str, cat: str, ts: float, dur: float, **args: Any) -> dict[str, Any]:
    """Make a slice."""
    return {"ph": "X", "name": name, "cat": cat, "ts": ts, "dur": dur, "tid": 1, "args": args}


def test_kernels_count_where_they_were_launched(tmp_path: Path) -> None:
    """Also those of two streams at once, whose time together is less."""
    file = trace_file(tmp_path, [
        event("call", "user_annotation", 0, 100),
        event("fc: Linear", "user_annotation", 10, 40),
        event("aten::addmm", "cpu_op", 12, 20, **{"External id": 7}),
        event("aten::relu", "cpu_op", 60, 5, **{"External id": 8}),
        event("gemm", "kernel", 30, 40, **{"External id": 7}),
        event("relu", "kernel", 60, 20, **{"External id": 8}),
    ])  # fmt: skip
    found = read(file, "call", {"fc: Linear": "fc"})
    assert found.operators() == {"aten::addmm": (1, 40.0), "aten::relu": (1, 20.0)}
    assert found.by_module() == {"fc": {"aten::addmm": 40.0}, "": {"aten::relu": 20.0}}
    assert (found.kernels_us, found.busy_us) == (60.0, 50.0)


def test_on_the_cpu_operators_have_their_own_time(tmp_path: Path) -> None:
    """And the rest of the call is a row."""
    file = trace_file(tmp_path, [
        event("call", "user_annotation", 0, 100),
        event("aten::linear", "cpu_op", 10, 50),
        event("aten::addmm", "cpu_op", 15, 40),
        event("before", "cpu_op", -20, 10),
    ])  # fmt: skip
    found = read(file, "call", {})
    assert found.operators() == {
        "aten::linear": (1, 10.0), "aten::addmm": (1, 40.0), OUTSIDE: (0, 50.0)
    }  # fmt: skip
    with pytest.raises(ValueError, match="no call of other"):
        read(file, "other", {})


def test_a_trace_shows_modules_by_name(tmp_path: Path) -> None:
    """Around the operators that ran in them."""
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval()
    file = tmp_path / "trace.json.gz"
    found = record(model, lambda: model(ROWS), CPU, file, How("forward"))
    assert "aten::addmm" in found.by_module()["0"]
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        names = {each["name"] for each in json.load(stream)["traceEvents"]}
    assert {"forward", "(model): Sequential", "0: Linear", "1: ReLU"} <= names
    assert "forward" not in model[0].__dict__


# Why


def suspect_of(model: slow.Among) -> Suspect:
    """Return the slow layer as the stage sees it."""
    model.eval()
    model(WIDE)
    captured = capture(model, lambda: model(WIDE), {"slow"})["slow"]
    given = row("slow", type(model.slow).__name__, 30.0, peak_share=None)
    return Suspect(given, ("slow",), 0.9, captured)


@pytest.mark.parametrize(
    ("layer", "remedy"),
    [(slow.Double, "float32"), (slow.Denormal, "flush_denormal"),
     (slow.Scattered, "contiguous_weights")],
)  # fmt: skip
def test_each_layer_is_slow_for_its_reason(layer: type[nn.Module], remedy: str) -> None:
    """And no other one."""
    suspect = suspect_of(slow.Among(layer()))
    assert [cause.remedy for cause in causes_of(suspect)] == [remedy]
    assert suspect.captured is not None
    trial = try_remedy(remedy, suspect.captured, CPU)
    assert trial.speedup is not None or layer is slow.Double  # which takes no other type
    assert torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    ("layer", "words"), [(slow.Sleeps, "no operator runs in"), (slow.Copies, "copying tensors")]
)
def test_what_runs_in_a_layer_tells_the_reason(
    layer: type[nn.Module], words: str, tmp_path: Path
) -> None:
    """Sleeping and copying are seen by the operators that run, or do not."""
    model = slow.Among(layer()).eval()
    _, rows = timed(model, WIDE)
    assert rows[0].path == "slow"
    with torch.inference_mode():
        recorded = record(model, lambda: model(WIDE), CPU, tmp_path / "t.json.gz", How("forward"))
    scene = Scene(model, lambda: model(WIDE), CPU, rows, recorded, None)
    first = findings_of(scene, 1e-9, {}, lambda _: None)[0]
    assert first.suspect.row.path == "slow"
    assert words in first.reason
    assert first.shown


def test_a_quick_layer_has_no_reason() -> None:
    """Nothing is guessed."""
    suspect = suspect_of(slow.Among(nn.Linear(slow.WIDE, slow.WIDE)))
    assert list(causes_of(suspect)) == []


def test_far_below_the_peak_sizes_are_looked_at() -> None:
    """A single row, and sizes between vectors."""
    model = slow.Among(nn.Linear(slow.WIDE, 257)).eval()
    model(WIDE)
    captured = capture(model, lambda: model(WIDE[:1]), {"slow"})["slow"]
    given = row("slow", "Linear", 30.0, peak_share=0.02)
    causes = list(causes_of(Suspect(given, ("slow",), 0.9, captured, bandwidth=0.2)))
    assert [cause.remedy for cause in causes] == ["double_batch", "padded"]
    assert "read for one row" in causes[0].reason
    assert "257 is not a multiple" in causes[1].reason


@pytest.mark.parametrize("name", REMEDIES)
def test_remedies_leave_the_layer_as_it_is(name: str) -> None:
    """And compute the same where they only lay out otherwise."""
    model = nn.Sequential(nn.Conv2d(3, 17, 3)).eval()
    image = torch.rand(1, 3, 12, 12)
    captured = capture(model, lambda: model(image), {"0"})["0"]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    threads = torch.get_num_threads()
    trial = try_remedy(name, captured, CPU)
    torch.set_num_threads(threads)
    assert trial.failed is None
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    better = REMEDIES[name].better(captured)
    assert better is not None
    if name not in {"padded", "double_batch"}:
        with torch.inference_mode():
            torch.testing.assert_close(better(), captured())


def test_a_gain_is_told_only_where_it_is_sure() -> None:
    """And an untried remedy as such."""
    assert Trial("so", 1.5, (1.3, 1.7)).told == "so: 1.5 times as fast (1.3 to 1.7)"
    assert not Trial("so", 1.5, (0.9, 1.7)).helps
    assert Trial("so", 1.5, None).told.endswith("in too few tries to be sure")
    assert Trial("so", failed="not tried").told == "so: not tried"


def test_captured_tensors_lie_as_they_lay() -> None:
    """Transposed, sliced, expanded."""
    tensors = [torch.rand(4, 6).t(), torch.rand(4, 6)[:, ::2], torch.rand(1, 6).expand(4, 6)]
    model = nn.Module()
    model.forward = lambda *given: given[0]
    outer = nn.ModuleList([model])
    found = capture(outer, lambda: outer[0](*tensors), {"0"})["0"]
    assert [t.stride() for t in found.tensors] == [t.stride() for t in tensors]
    assert all(torch.equal(a, b) for a, b in zip(found.tensors, tensors, strict=True))


def test_graph_breaks_have_a_reason_and_a_line() -> None:
    """Of the model's code."""
    found = explained(slow.Breaks().eval(), lambda: slow.Breaks()(ROWS))
    assert found.graphs == 0
    model = slow.Breaks().eval()
    found = explained(model, lambda: model(ROWS))
    assert found.graphs == 2
    assert found.breaks[0].where.startswith("slow.py:")
    assert any("graph break at slow.py" in line for line in found.sentences())


# The stage


def test_the_stage_as_people_run_it(command: Command) -> None:
    """Its names and files are those that readers know."""
    done = command("model=toy", "test=profile", "test.profile.pictures=true")
    stage = done.results["stages"]["profile"]
    assert (done.status, stage["reason"], done.err) == (0, None, "")
    assert {"profile/forward/accounted", "profile/forward/overhead"} <= stage["metrics"].keys()
    layers = stage["details"]["forward"]["layers"]
    assert layers == sorted(layers, key=lambda layer: -layer["own_ms"])
    assert {"path", "class", "calls", "own_ms", "share", "cumulative_share", "macs", "gmacs_per_s",
            "inputs", "outputs"} <= layers[0].keys()  # fmt: skip
    assert sum(layer["share"] for layer in layers) == pytest.approx(
        stage["metrics"]["profile/forward/accounted"]["value"], rel=0.1
    )
    folder = done.files[0].parent
    for name in stage["artifacts"]:
        assert (folder / name).stat().st_size, name
    assert {"layers_time-forward.csv", "trace-forward.json.gz", "plots/icicle-forward.svg",
            "plots/timeline-forward.svg", "plots/layers_time-forward.svg"} <= set(
                stage["artifacts"])  # fmt: skip
    assert "forward: time by layer, slowest first" in done.out
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "forward: time by operator" in page


def test_a_training_step_by_part_and_by_layer(command: Command) -> None:
    """Its backward pass belongs to the layers whose it is."""
    done = command("model=toy", "test=profile", "test.profile.training=true")
    stage = done.results["stages"]["profile"]
    assert (done.status, stage["reason"]) == (0, None)
    parts = stage["details"]["training"]["parts"]
    assert list(parts) == ["data", "forward", "loss", "backward", "optimizer"]
    layers = stage["details"]["training"]["layers"]
    linear = [layer for layer in layers if layer["class"] == "Linear"]
    assert linear
    assert all(layer["backward_ms"] > 0 for layer in linear)
    assert sum(layer["backward_ms"] for layer in layers) == pytest.approx(parts["backward"]["ms"])
    assert {"trace-training.json.gz", "plots/training_memory.svg"} <= set(stage["artifacts"])


def test_a_profiler_within_the_model_costs_the_operators_alone(command: Command) -> None:
    """The layers are there."""
    done = command("model=planted", "test=profile", "model.build._target_=slow.Profiles")
    stage = done.results["stages"]["profile"]
    assert stage["status"] == "failed"
    assert "forward, operators: " in stage["reason"]
    assert stage["details"]["forward"]["layers"]


def test_a_phase_that_is_none_is_refused(command: Command) -> None:
    """With those that the model has."""
    done = command("model=toy", "test=profile", "test.profile.phases=[decode]")
    assert done.status == 1
    assert "toy has forward" in done.results["stages"]["profile"]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32_compiled", "int8"])
def test_of_a_compiled_model_kernels_are_left(command: Command, precision: str) -> None:
    """And where its graph breaks."""
    done = command("model=cnn", "test=profile", f"precision={precision}")
    stage = done.results["stages"]["profile"]
    assert (done.status, stage["reason"]) == (0, None)
    assert stage["details"]["forward"]["graph_breaks"] == []
    names = {each["name"] for each in stage["details"]["forward"]["operators"]}
    assert any("conv" in name and "pointwise" in name for name in names)
    assert 0 < stage["metrics"]["profile/forward/accounted"]["value"] <= 1


@pytest.mark.slow
def test_the_phases_of_a_language_model(command: Command) -> None:
    """Each has its own layers."""
    done = command("model=gpt2", "test=profile", "sequence_length=16", "model.new_tokens=4",
                   "test.profile.remedies=true")  # fmt: skip
    stage = done.results["stages"]["profile"]
    assert (done.status, stage["reason"]) == (0, None)
    for phase in ("prefill", "decode", "generate"):
        assert stage["details"][phase]["blocks"]["class"] == "GPT2LMHeadModel"
    labels = json.dumps(stage["details"]["decode"]["blocks"])
    assert '"h.0 to 11"' in labels


# From Python


def test_a_module_in_hand(tmp_path: Path) -> None:
    """Its layers as a table."""
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    quick = ["test.profile.budget_s=0.2", "test.profile.pictures=false"]
    found = modelbench.profile(model, torch.rand(2, 8), folder=tmp_path / "run", overrides=quick)
    table = found.profile
    assert set(table["phase"]) == {"forward"}
    assert {"0", "2"} <= set(table["path"])
    others = modelbench.measure(model, torch.rand(2, 8), test="structure", folder=tmp_path / "two")
    with pytest.raises(KeyError, match="test='profile'"):
        _ = others.profile


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_module_that_cannot_be_handed_over(tmp_path: Path) -> None:
    """It is profiled in this process, and left as it was."""

    class Local(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 2)
            self.made = (number for number in range(3))
            self.kept: torch.Tensor | None = None
            self.count: torch.Tensor
            self.register_buffer("count", torch.zeros(()))
            self.scripted: Any = torch.jit.script(nn.Linear(2, 2))

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            self.count += 1
            self.kept = self.kept if self.kept is not None else rows * 2
            found: torch.Tensor = self.layer(rows)
            return found

    model = Local()
    quick = ["test.profile.budget_s=0.2", "test.profile.pictures=false"]
    found = modelbench.profile(model, torch.rand(2, 8), folder=tmp_path / "run", overrides=quick)
    assert found.status == "passed"
    assert "layer" in set(found.profile["path"])
    assert "forward" not in model.layer.__dict__
    assert model.kept is None  # what it keeps of its first call would be no good for training
    assert model.count == 0
    trained = modelbench.profile(
        model, torch.rand(2, 8), folder=tmp_path / "two",
        overrides=[*quick, "test.profile.training=true"],
    )  # fmt: skip
    assert "it would change the module" in str(trained.stages["profile"].reason)
