"""Quantization says how much of the model it reached, and is exact where it claims to be."""

from __future__ import annotations

import copy
import platform
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from transformers.pytorch_utils import Conv1D

from modelbench.config import schema
from modelbench.config.validate import check
from modelbench.measurement.compute.counting import count_phase
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.numerics.fidelity import fidelity, first_not_finite
from modelbench.models.workload import Workload
from modelbench.precision import static
from modelbench.precision.cast import Cast
from modelbench.precision.converted import ConvertedModel, Coverage
from modelbench.precision.rewrite import Flat, Subpixel, rewrite
from modelbench.stages.quantization.probe import TooSlow, call_within, slowdown

# torch's and torchao's own, of which there are many while a model is exported.
pytestmark = pytest.mark.filterwarnings("ignore")
CPU = torch.device("cpu")
RAISES = """
from dataclasses import dataclass

from modelbench.precision.scheme import Scheme


@dataclass(frozen=True)
class Raises(Scheme):
    def convert(self, workload, *, phases):
        raise ValueError("as it does")
"""
X86 = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"}, reason="needs an x86 processor"
)


def workload(*overrides: str) -> Workload:
    """Make one of a command line."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        checked = check(compose("config", list(overrides)), [schema.CONF])
    assert not checked.errors
    return Workload.of(checked.plain, schema.axes(checked.plain), CPU)


def converted(given: Workload, **changes: Any) -> ConvertedModel:
    """Bring a workload's model into its precision, uncompiled unless asked for otherwise."""
    made: ConvertedModel = instantiate(
        {**(given.scheme or {}), "compile": False, **changes}
    ).convert(given, phases=False)
    return made


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"),
    [(2, 2, 0, 0), (4, 2, 1, 0), (3, 2, 1, 1), (5, 3, 2, 0), (3, 1, 1, 0), ((3, 4), 2, (1, 0), 0)],
)
def test_a_transposed_convolution_is_an_ordinary_one(
    kernel: Any, stride: int, padding: Any, more: int
) -> None:
    """Of whatever kernel and stride."""
    model = nn.Sequential(nn.ConvTranspose2d(3, 5, kernel, stride, padding, more))
    made = rewrite(copy.deepcopy(model))
    assert isinstance(made.get_submodule("0"), Subpixel)
    images = torch.randn(2, 3, 7, 9)
    torch.testing.assert_close(made(images), model(images))


def test_other_layers_in_disguise() -> None:
    """GPT-2's is a Linear, a Conv1d is flat; what cannot be taken apart stays."""
    model = nn.Sequential(Conv1D(6, 4))
    made = rewrite(copy.deepcopy(model))
    assert type(made.get_submodule("0")) is nn.Linear
    given = torch.randn(3, 4)
    torch.testing.assert_close(made(given), model(given))
    model = nn.Sequential(nn.Conv1d(4, 6, 3, 2, padding=1, groups=2))
    made = rewrite(copy.deepcopy(model))
    assert isinstance(made.get_submodule("0"), Flat)
    sound = torch.randn(2, 4, 11)
    torch.testing.assert_close(made(sound), model(sound))
    dilated = nn.Sequential(nn.ConvTranspose2d(3, 5, 3, dilation=2))
    assert type(rewrite(dilated).get_submodule("0")) is nn.ConvTranspose2d


def test_fidelity_of_known_outputs() -> None:
    """Equal ones have no noise; noise of a hundredth of the power is 20 dB."""
    logits = torch.tensor([[3.0, 4.0], [-4.0, 3.0]])
    same = fidelity(logits, logits.clone())
    assert (same.sqnr_db, same.max_abs_error, same.top1_agreement) == (None, 0.0, 1.0)
    assert same.cosine == pytest.approx(1)
    off = fidelity(logits, logits + torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
    assert off.sqnr_db == pytest.approx(20)
    assert off.max_abs_error == pytest.approx(0.5)
    assert fidelity(logits, logits.flip(1)).top1_agreement == 0
    masks = torch.tensor([1.0, -1.0, 2.0, -2.0]).reshape(1, 1, 2, 2)
    assert fidelity(masks, masks * torch.tensor([1.0, -1.0])).top1_agreement == 0.5
    assert fidelity({"prediction": masks}, {"prediction": masks}).top1_agreement is None


def test_the_first_layer_that_is_not_finite_is_named() -> None:
    """Not the ones that only pass it on."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU())
    assert first_not_finite(model, lambda: model(torch.ones(1, 2))) is None
    with torch.no_grad():
        model.get_parameter("1.weight").fill_(float("inf"))
    assert first_not_finite(model, lambda: model(torch.ones(1, 2))) == "Linear 1"


def test_a_slow_call_is_given_up_between_layers() -> None:
    """And leaves no hook behind."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert call_within(60, model, lambda: model(torch.ones(1, 2))).shape == (1, 2)
    with pytest.raises(TooSlow):
        call_within(-1, model, lambda: model(torch.ones(1, 2)))
    assert not any(layer._forward_pre_hooks for layer in model.modules())
    assert slowdown(torch.float32, CPU) == pytest.approx(1, rel=0.9)


def test_calibration_never_sees_what_the_outcome_is_judged_by() -> None:
    """Another photograph, another text, other noise; each batch its own."""
    for model, name in (("cnn", "images"), ("gpt2", "input_ids")):
        given = workload(f"model={model}")
        judged = given.batch().named()[name]
        batches = [batch.named()[name] for batch in given.calibration(3)]
        assert len({tuple(b.flatten().tolist()) for b in [judged, *batches]}) == 4
        again = [batch.named()[name] for batch in given.calibration(3)]
        assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))


@X86
def test_static_reaches_convolutions(tmp_path: Path) -> None:
    """Ordinary and transposed ones; the file gives the same model again."""
    given = workload("model=unet", "image_size=32", "precision=int8_static")
    made = converted(given, batches=2)
    model, batch = given.build(), given.batch()
    macs = count_phase(lambda net, each: lambda: each.call(net), model, batch, quick=True)
    assert macs is not None
    assert made.coverage.macs(macs.total, dict(macs.by_module)) == pytest.approx(1)
    assert made.coverage.params > 0.99
    assert made.coverage.kept == ()
    with torch.inference_mode():
        wanted, found = batch.call(model), batch.call(made.model)
        file = tmp_path / "unet.pt2"
        made.save(made.model, file)
        assert torch.equal(batch.call(made.load(made.model, file)), found)
    kept = fidelity(wanted, found)
    assert kept.sqnr_db is not None
    assert kept.sqnr_db > 25
    assert file.stat().st_size < 0.3 * 4 * sum(p.numel() for p in model.parameters())


@X86
def test_without_a_compiler_it_is_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so; the output is the same but for rounding."""
    given = workload("model=cnn", "precision=int8_static")
    wanted = given.batch().call(converted(given, batches=2).model)
    monkeypatch.setattr(static, "no_compiler", lambda: "none was found")
    made = converted(given, batches=2, compile=True)
    assert not made.compiles
    assert made.notes == ["is lowered to oneDNN operations, without a compiler (none was found)"]
    found = given.batch().call(made.model)
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)


def test_coverage_of_a_tied_weight_is_that_of_what_it_became() -> None:
    """GPT-2's head becomes INT8, its embedding stays: two where one was."""
    given = workload("model=gpt2", "+model.build.config.n_layer=1", "precision=int8_dynamic")
    made = converted(given)
    assert made.coverage.computed is not None
    assert {"lm_head", "transformer.h.0.attn.c_attn"} <= made.coverage.computed.keys()
    head = 50257 * 768
    layer = 12 * 768**2
    assert made.coverage.weights == head + layer
    assert made.coverage.params == pytest.approx((head + layer) / (2 * head + layer), rel=0.02)
    assert "Embedding transformer.wte" in made.coverage.kept


def test_the_best_takes_what_reaches_the_most() -> None:
    """Linears alone for a language model."""
    made = workload("model=gpt2", "+model.build.config.n_layer=1", "precision=int8").scheme
    assert made is not None
    assert list(made["of"]) == ["int8_dynamic", "int8_static"]
    given = workload("model=gpt2", "+model.build.config.n_layer=1", "precision=int8")
    assert instantiate(made, _convert_="all").convert(given, phases=True).chosen == "int8_dynamic"


def test_the_stage_compares_with_single_precision(command: Command) -> None:
    """Files loaded again, coverage, fidelity and speed of each; FP32 itself is not compared."""
    schemes = "test.quantization.schemes=[fp32,bf16,int8_weight_only]"
    done = command("model=toy", "model.width=64", "test=quantization", schemes)
    stage = done.results["stages"]["quantization"]
    assert stage["status"] == "passed"
    found = {k.removeprefix("quantization/"): m["value"] for k, m in stage["metrics"].items()}
    assert found["bf16/coverage_macs"] == found["bf16/coverage_params"] == 1
    assert found["int8_weight_only/coverage_macs"] == 0
    assert 0.9 < found["int8_weight_only/coverage_params"] < 1
    assert found["bf16/sqnr_db"] > 30
    assert found["bf16/p50_ms"] > 0
    assert found["bf16/speedup_ci_low"] <= found["bf16/speedup"] <= found["bf16/speedup_ci_high"]
    assert "fp32/sqnr_db" not in found
    assert all(stage["details"][s]["same_after_loading"] for s in ("bf16", "int8_weight_only"))
    assert any("int8_weight_only: only 0% of the MACs" in each for each in stage["warnings"])


def test_a_model_that_no_scheme_reaches_is_skipped(command: Command) -> None:
    """With what it is made of."""
    build = "model.build._target_=toys.Scaled"
    schemes = "test.quantization.schemes=[int8_weight_only]"
    done = command("model=toy", build, "test=quantization", schemes)
    stage = done.results["stages"]["quantization"]
    assert (done.status, stage["status"]) == (0, "skipped")
    assert "int8_weight_only: it covers nothing" in stage["reason"]
    assert "LayerNorm" in stage["reason"]


def test_an_output_that_is_not_finite_fails(command: Command) -> None:
    """In single precision already."""
    done = command("model=broken", "test=quantization")
    stage = done.results["stages"]["quantization"]
    assert stage["status"] == "failed"
    assert "the output holds NaN or infinity in single precision" in stage["reason"]


@X86
def test_calibration_on_what_is_no_number_is_left_out(command: Command) -> None:
    """With that reason; the other schemes go on."""
    source = "model.inputs.x._target_=toys.Uncalibrated"
    schemes = "test.quantization.schemes=[int8_static,bf16]"
    stage = command("model=toy", source, "test=quantization", schemes).results["stages"]
    notes = stage["quantization"]["details"]["notes"]
    assert "int8_static skipped: the calibration input holds NaN or infinity" in notes
    assert "quantization/bf16/size_mib" in stage["quantization"]["metrics"]


def test_a_scheme_that_raises_loses_no_other(command: Command, tmp_path: Path) -> None:
    """It fails, by its name, and the others have their figures."""
    folder = tmp_path / "own" / "precision"
    folder.mkdir(parents=True)
    scheme = "scheme: {_target_: schemes_of_mine.Raises}"
    (folder / "raises.yaml").write_text(f"# Raises.\nname: raises\n{scheme}\n", encoding="utf-8")
    (folder.parent / "schemes_of_mine.py").write_text(RAISES, encoding="utf-8")
    done = command(
        "--config-dir", str(folder.parent), "model=cnn", "test=quantization",
        "test.quantization.schemes=[raises,bf16]",
    )  # fmt: skip
    stage = done.results["stages"]["quantization"]
    assert stage["status"] == "failed"
    assert stage["reason"] == "raises: ValueError: as it does"
    assert "quantization/bf16/size_mib" in stage["metrics"]


def test_what_a_tired_person_types(command: Command) -> None:
    """Is told at once, with what there is."""
    done = command("model=toy", "test=quantization", "test.quantization.schemes=[int_8,bf16]")
    assert done.status == 1
    assert "unknown precision int_8; did you mean int8?" in done.err
    done = command("model=toy", "precision=tf32")
    assert done.status == 1
    assert "precision=tf32: needs a CUDA device, but this is cpu" in done.err
    done = command("model=toy", "test=quantization", "test.quantization.schemes=[]")
    assert done.status == 1
    assert "schemes=[]: expected one or more options of precision" in done.err


def test_every_stage_in_half_precision(command: Command) -> None:
    """The benchmark's model and input are cast, and the structure tells the file's size."""
    done = command("model=toy", "model.width=512", "precision=bf16", "test=[structure,benchmark]")
    stages = done.results["stages"]
    assert done.status == 0
    metrics = {name: m["value"] for s in stages.values() for name, m in s["metrics"].items()}
    assert metrics["structure/shipped_mib"] < 0.9 * metrics["structure/saved_mib"]
    assert metrics["benchmark/forward/moved_mb"] < 0.01


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_schemes_of_a_gpu(command: Command) -> None:
    """Each passes, or is left out for what the card lacks."""
    schemes = "test.quantization.schemes=[fp16,bf16,tf32,fp8,int8_static]"
    words = ["device=cuda", "model=toy", "model.width=64", "test=quantization", schemes]
    stage = command(*words).results["stages"]["quantization"]
    assert stage["status"] == "passed"
    metrics = stage["metrics"]
    assert metrics["quantization/fp16/sqnr_db"]["value"] > 30
    assert metrics["quantization/tf32/coverage_macs"]["value"] in {0, 1}
    assert any("int8_static skipped: needs a CPU device" in n for n in stage["details"]["notes"])


def test_tf32_is_on_while_the_model_runs_and_no_longer() -> None:
    """Single precision beside it keeps its own."""
    seen: list[bool] = []
    made = Cast(tf32=True).convert(workload("model=cnn"), phases=False)
    for layer in made.model.modules():
        layer.register_forward_hook(lambda *_: seen.append(torch.backends.cuda.matmul.allow_tf32))
    before = torch.backends.cuda.matmul.allow_tf32
    workload("model=cnn").batch().call(made.model)
    assert any(seen)
    assert torch.backends.cuda.matmul.allow_tf32 is before is False


def test_a_layer_that_does_not_run_covers_nothing() -> None:
    """Nor does the part that it belongs to: its MACs are those of the layers that ran."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.ModuleDict({"runs": nn.Linear(8, 8), "rests": nn.Linear(8, 8)})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Leave one out."""
            result: torch.Tensor = self.part["runs"](x)
            return result

    model = Half()
    macs = count_macs(model, lambda: model(torch.ones(1, 8)))
    assert Coverage(0, 1, {"part.rests": inf}).macs(macs.total, dict(macs.by_module)) == 0
    assert Coverage(0, 1, {"part.runs": inf}).macs(macs.total, dict(macs.by_module)) == 1
    assert Coverage(0, 1, {"part.runs.new": 64.0}).macs(macs.total, dict(macs.by_module)) == 1
