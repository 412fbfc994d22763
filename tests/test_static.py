"""Idioms of others' models in every precision: reached, or left out for a true reason."""

from __future__ import annotations

import platform
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from modelbench.inputs import Noise
from modelbench.measurement.compute.counting import count_phase
from modelbench.measurement.numerics.fidelity import fidelity
from modelbench.models.batches import unseen
from modelbench.models.workload import Workload
from modelbench.precision import static
from modelbench.precision.cast import Cast
from modelbench.precision.compiling import (
    compile_in_place,
    compiled,
    no_compiler,
    products_in_8_bits,
)
from modelbench.precision.converted import ConvertedModel
from modelbench.precision.coverage import lowered
from modelbench.precision.quantizers import x86
from modelbench.precision.reloading import alike, changed
from modelbench.precision.rewrite import rewrite
from modelbench.precision.static import Static
from modelbench.precision.weights import Weights
from modelbench.results import Report, Skip
from modelbench.results.attempts import in_one_line
from modelbench.stages.quantization.file import File, Single

pytestmark = pytest.mark.filterwarnings("ignore")
X86 = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"}, reason="needs an x86 processor"
)
IMAGE = (2, 3, 12, 12)


class Block(nn.Module):
    """A residual block whose ReLU is called twice."""

    def __init__(self, *, inplace: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, 1, 1), nn.Conv2d(3, 3, 3, 1, 1)
        self.norm, self.relu = nn.BatchNorm2d(3), nn.ReLU(inplace)

    def forward(self, x: Tensor) -> Tensor:
        """Add what goes in to what comes out."""
        y: Tensor = self.second(self.relu(self.norm(self.first(x))))
        y += x
        result: Tensor = self.relu(y)
        return result


class Shared(nn.Module):
    """A convolution that is called twice, and a Conv1d and a Conv3d beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.line = nn.Conv2d(3, 3, 3, 1, 1), nn.Conv1d(3, 3, 3, 1, 1)
        self.space = nn.Conv3d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        y = self.twice(self.twice(x))
        deep: Tensor = self.space(y[:, :, None])
        lines: Tensor = self.line(deep.flatten(2))
        return lines


class Viewed(nn.Module):
    """The classic network for MNIST: `.view` after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 4, 3, 1, 1), nn.Linear(4 * 144, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        y: Tensor = self.conv(x)
        logits: Tensor = self.out(y.view(len(x), -1))
        return logits


class Own(nn.Module):
    """Makes a tensor of single precision itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 12))

    def forward(self, x: Tensor) -> Tensor:
        """Add positions."""
        result: Tensor = self.body(x + torch.linspace(0, 1, 12))
        return result


def normed() -> nn.Module:
    """Three Linears, each with a weight that is computed in every call."""
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(12, 12)),
        weight_norm(nn.Linear(12, 12)),
        spectral_norm(nn.Linear(12, 12)),
    )


def workload(model: nn.Module | type[nn.Module], shape: Any = IMAGE, **node: Any) -> Workload:
    """Make one of a module of this file."""
    name = getattr(model, "__name__", None)
    recipe = {"_target_": f"{__name__}.{name}", **node}
    return Workload("own", {}, torch.device("cpu"), recipe, {"0": Noise(shape)})


def share(given: Workload, made: ConvertedModel) -> float:
    """Return the share of MACs that a scheme reaches."""
    macs = count_phase(
        lambda m, batch: lambda: batch.call(m), given.build(), given.batch(), quick=True
    )
    assert macs is not None
    return made.coverage.macs(macs.total, dict(macs.by_module))


def kept(given: Workload, made: ConvertedModel) -> float:
    """Return the ratio of signal to noise in dB."""
    batch = given.batch()
    with torch.inference_mode():
        found = fidelity(batch.call(given.build()), batch.call(made.model)).sqnr_db
    assert found is not None
    return found


@X86
@pytest.mark.parametrize("inplace", [True, False])
def test_a_residual_block_is_quantized(tmp_path: Path, *, inplace: bool) -> None:
    """Whole, in place or not, and the file gives the same weights."""
    given = workload(Block, inplace=inplace)
    made = Static(quantizer=x86(), batches=2).convert(given, phases=False)
    assert share(given, made) == 1
    assert made.products == 2
    assert kept(given, made) > 25
    report = Report(details={"own": {}})
    file = File("own", made, Single(10**6, 170), tmp_path)
    file.save(report)
    with torch.inference_mode():
        file.check(report, given.batch(), given.batch().call(made.model))
    assert report.failure is None
    assert report.details["own"]["same_after_loading"]


@X86
def test_what_is_not_reached_is_told_and_costs_nothing_else() -> None:
    """A layer called twice is stored once and counts twice; a Conv1d is reached, a Conv3d not."""
    given = workload(Shared)
    made = Static(quantizer=x86(), batches=2).convert(given, phases=False)
    one = 2 * 3 * 3 * 9 * 144
    assert made.coverage.computed == {"twice": 2 * one, "line.conv": one // 3}
    assert made.coverage.weights == 81 + 27
    assert made.coverage.kept == ("Conv3d space (conv3d)",)
    assert share(given, made) == pytest.approx(1 - 1 / 22)


class Again(nn.Module):
    """One convolution, called three times in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        y: Tensor = self.conv(self.conv(self.conv(x)))
        return y


@X86
@pytest.mark.skipif(no_compiler() is not None, reason="no C++ compiler")
def test_the_compiler_takes_each_call_of_a_layer_to_8_bits() -> None:
    """As many products as are claimed, though they share one weight."""
    torch._dynamo.reset()
    given = workload(Again)
    made = Static(quantizer=x86(), batches=2, compile=True).convert(given, phases=False)
    assert made.products == 3
    before = products_in_8_bits()
    compile_in_place(made.model)
    compiled(partial(made.batch(given.batch()).call, made.model))
    assert products_in_8_bits() - before == 3


@X86
def test_attention_counts_as_its_projections() -> None:
    """Its products of two activations stay in single precision."""
    given = workload(Attending, (1, 6, 8))
    made = Static(quantizer=x86(), batches=2).convert(given, phases=False)
    projections, attention = 4 * 6 * 8 * 8, 2 * 6 * 6 * 8
    assert share(given, made) == pytest.approx(projections / (projections + attention))


class Attending(nn.MultiheadAttention):
    """Attends to itself."""

    def __init__(self) -> None:
        super().__init__(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Take and give `[batch, length, 8]`."""
        result: Tensor = super().forward(x, x, x, need_weights=False)[0]
        return result


@X86
def test_linears_of_sequences_are_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """All products are in 8 bits without a compiler too."""
    given = workload(Attending, (1, 6, 8))
    wanted = Static(quantizer=x86(), batches=2).convert(given, phases=False)
    monkeypatch.setattr(static, "no_compiler", lambda: "none was found")
    made = Static(quantizer=x86(), batches=2, compile=True).convert(given, phases=False)
    assert made.products == lowered(made.model.runs) == 2
    assert kept(given, made) == pytest.approx(kept(given, wanted), abs=1)


class Fading(nn.Module):
    """An untrained network in which what flows becomes ever smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 3, 3, bias=False)
        with torch.no_grad():
            self.first.weight.mul_(1e-7)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve twice."""
        result: Tensor = self.last(self.first(x))
        return result


@X86
def test_small_activations_are_not_made_zero() -> None:
    """The step between two values of 8 bits is as small as they need it."""
    given = workload(Fading)
    assert kept(given, Static(quantizer=x86(), batches=2).convert(given, phases=False)) > 25


@X86
def test_what_cannot_be_quantized_is_left_out_with_the_reason() -> None:
    """Whatever the quantizer raises."""

    class Refuses:
        def transform_for_annotation(self, model: Any) -> Any:
            raise ValueError("no such thing")

    with pytest.raises(Skip, match="torchao cannot quantize it: ValueError: no such thing"):
        Static(quantizer=Refuses()).convert(workload(Viewed), phases=False)


def test_computed_weights_are_quantized_once_computed() -> None:
    """What is stored says so, where the type of the weight did not."""
    from torchao.quantization import Int8WeightOnlyConfig

    given = workload(normed, (2, 12))  # type: ignore[arg-type]
    made = Weights(config=Int8WeightOnlyConfig()).convert(given, phases=False)
    assert made.coverage.weights == 3 * 144
    assert share(given, made) == 1
    assert kept(given, made) < 60  # not the 130 dB of what was left as it was


def test_a_claim_that_the_file_contradicts_fails(tmp_path: Path) -> None:
    """By what is stored and by the file's size."""
    from modelbench.precision.converted import Coverage

    model = nn.Linear(1000, 1000, bias=False)
    made = ConvertedModel(model, Coverage(10**6, 10**6, None), quantized=True)
    for claim, words in (
        (made, "0 parameters are in low precision, not 1,000,000"),
        (ConvertedModel(model, made.coverage, dtype=torch.bfloat16), "the file has 3.8 MiB"),
    ):
        report = Report(details={"own": {}})
        file = File("own", claim, Single(4 * 10**6, 10**6), tmp_path)
        file.save(report)
        assert file._contradiction() is not None
        assert words in str(file._contradiction())


def test_the_same_weights_and_the_same_output_but_for_chance() -> None:
    """A bit of a weight matters; an output may differ by what two runs differ by."""
    model = nn.Linear(3, 3)
    other = {name: t.clone() for name, t in model.state_dict().items()}
    assert changed(model.state_dict(), other) is None
    other["bias"][0] = torch.nextafter(other["bias"][0], torch.tensor(9.0))
    assert changed(model.state_dict(), other) == "bias"
    one = torch.ones(4)
    assert alike(one, one * (1 + 1e-6), lambda: one, 1e-5)
    assert alike(one, one * 1.01, lambda: one * 0.98, 1e-5)
    assert not alike(one, one * 1.01, lambda: one, 1e-5)


def test_a_view_after_a_convolution_runs_in_half_precision() -> None:
    """With the channels first, and says so; a model without one is laid out otherwise."""
    scheme = Cast(dtype="bfloat16", channels_last=True)
    given = workload(Viewed)
    made = scheme.convert(given, phases=False)
    assert made.batch(given.batch()).call(made.model).dtype is torch.bfloat16
    (note,) = made.notes
    assert note.startswith("does not use channels_last: RuntimeError: view size")
    plain = scheme.convert(workload(Block, inplace=False), phases=False)
    assert plain.notes == []
    first = plain.model.get_parameter("first.weight")
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_other_ranks_are_cast() -> None:
    """Weights of five dimensions have no pixels to lay out."""
    given = workload(Shared)
    made = Cast(dtype="bfloat16", channels_last=True).convert(given, phases=False)
    assert made.batch(given.batch()).call(made.model).dtype is torch.bfloat16


def test_types_that_do_not_fit_are_named_with_their_layer() -> None:
    """The layer, and which tensor has which type."""
    given = workload(Own, (2, 12))
    made = Cast(dtype="bfloat16").convert(given, phases=False)
    with pytest.raises(RuntimeError) as raised:
        made.batch(given.batch()).call(made.model)
    reason = in_one_line(raised.value)
    assert "(in Linear body.0: input is float32, weight is bfloat16, bias is bfloat16)" in reason
    assert in_one_line(ValueError("as it is")) == "ValueError: as it is"


def test_no_sample_is_another_nor_one_of_calibration() -> None:
    """As many as are asked for, with the workload's own first."""
    for axes, shape in (({}, (2, 4)), ({"batch_size": 2}, ("batch_size", 4))):
        given = Workload("own", axes, torch.device("cpu"), {}, {"0": Noise(shape)})
        made = [batch.args[0] for batch in unseen(given, 8)]
        assert torch.equal(made[0], given.batch().args[0])
        seen = [batch.args[0] for batch in given.calibration(8)]
        assert len({tuple(t.flatten().tolist()) for t in [*made, *seen]}) == 16
        assert {tuple(t.shape) for t in made} == {(2, 4)}


def test_a_model_may_ask_a_layer_for_its_settings() -> None:
    """As Whisper asks its Conv1d for stride and weight: what takes its place has them too."""

    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 4, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            length = (x.shape[-1] - self.conv.kernel_size[0]) // self.conv.stride[0] + 1
            out: torch.Tensor = self.conv(x.to(self.conv.weight.dtype))
            assert out.shape[-1] == length
            return out

    model, given = Asks(), torch.randn(1, 2, 9)
    wanted = model(given)
    torch.testing.assert_close(rewrite(model)(given), wanted)
