"""A sample's output is found wherever it lies, and compared as coarsely as it was computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.numerics.consistency import Difference, alone_and_together, among_others
from modelbench.precision.converted import ConvertedModel, Coverage
from modelbench.stages.dynamic.rounding import INT8, TF32, distance

SAMPLES, TOKENS, WIDTH = 3, 4, 8


class Says(nn.Module):
    """Returns what a function makes of a batch of sequences."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        """Take `[b, t, 8]`."""
        return self.function(x)


def found(model: nn.Module, place: int = 0, eps: float = 0.0) -> list[Difference | None]:
    """Compare the first sample alone, and among others."""
    torch.manual_seed(0)
    model.eval()
    shape = [SAMPLES, TOKENS, WIDTH] if place == 0 else [TOKENS, SAMPLES, WIDTH]
    batch, other = (Batch((torch.randn(shape),), {}) for _ in range(2))
    return [
        alone_and_together(model, batch, {"0": place}, eps),
        among_others(model, batch, other, {"0": place}, eps),
    ]


def leaks(x: Tensor) -> Tensor:
    """Take something from the whole batch."""
    return x + x.mean((0, 1))


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (nn.LSTM(WIDTH, 5, num_layers=2, batch_first=True), 0),
        (nn.LSTM(WIDTH, 5, bidirectional=True), 1),
        (nn.GRU(WIDTH, 5, batch_first=True), 0),
        (nn.TransformerEncoderLayer(WIDTH, 2, 16), 1),
        (Says(lambda x: x.flatten(0, 1)), 0),
        (Says(lambda x: x.transpose(0, 1).flatten(0, 1)), 0),
        (Says(lambda x: x.mean((1, 2)).squeeze()), 0),
        (Says(lambda x: {"pairs": x[:, 0] @ x[:, 0].T, "table": x.new_ones(3, 5)}), 0),
        (Says(lambda x: (torch.view_as_complex(x.reshape(-1, 16, 2)), x.argmax(-1))), 0),
    ],
)
def test_a_sample_is_found_in_whichever_dimension_it_lies(model: nn.Module, place: int) -> None:
    """In the second, flattened with the tokens either way, or dropped where it is alone."""
    for difference in found(model, place):
        assert difference is not None
        assert not difference.matters
        assert difference.output != "table"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x, leaks(x).transpose(0, 1)),
        lambda x: leaks(x).flatten(0, 1),
        lambda x: leaks(x).transpose(0, 1).flatten(0, 1),
        lambda x: leaks(x).mean((1, 2)),
    ],
)
def test_a_leak_is_found_in_whichever_dimension_it_lies(function: Callable[[Tensor], Any]) -> None:
    """Alone, and among others."""
    for difference in found(Says(function)):
        assert difference is not None
        assert difference.matters


def test_what_does_not_grow_with_the_batch_is_not_compared() -> None:
    """It may be a statistic of the batch, and nothing is told."""
    assert found(Says(lambda x: (x.mean((0, 1)), x.sum(), x.long()))) == [None, None]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_is_no_leak_and_a_leak_no_rounding(dtype: torch.dtype) -> None:
    """In half precision another kernel rounds otherwise; statistics of the batch are more."""
    eps = torch.finfo(dtype).eps
    rounds, normed = Says(lambda x: x * (1 + eps * len(x))), nn.BatchNorm1d(TOKENS)
    normed.register_buffer("running_mean", None)
    normed.register_buffer("running_var", None)
    for model, wanted in ((rounds, False), (normed, True)):
        difference = found(model, eps=eps)[0]
        assert difference is not None
        assert difference.matters is wanted
    single = found(rounds)[0]
    assert single is not None
    assert single.matters  # in float32 it would be


def test_the_distance_of_numbers_follows_from_how_a_model_multiplies() -> None:
    """In its own type, in TF32, or in integers of 8 bits."""
    layer = nn.Linear(2, 2)
    own, low = Coverage(0, 6, {}), Coverage(6, 6, None)
    single = torch.finfo(torch.float32).eps
    assert distance(ConvertedModel(layer, own)) == single
    assert distance(ConvertedModel(layer, low)) == TF32
    half = ConvertedModel(layer.bfloat16(), low, dtype=torch.bfloat16)
    assert distance(half) == torch.finfo(torch.bfloat16).eps
    assert distance(ConvertedModel(layer, low, quantized=True)) == INT8
    assert distance(ConvertedModel(layer, own, quantized=True)) == single  # stores them only
