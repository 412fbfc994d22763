"""MACs are exact: held against formulas worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.flop_counter import flop_registry

from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.compute.formulas import formulas
from modelbench.measurement.compute.free import FREE
from modelbench.measurement.compute.layers import trace_layers, write_table
from modelbench.models.cnn import SimpleCNN
from modelbench.models.unet import UNet

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def macs(model: nn.Module, *inputs: Tensor, **named: Any) -> int:
    """Count one forward call in evaluation mode."""
    return count_macs(model.eval(), lambda: model(*inputs, **named)).total


def test_layers_by_hand() -> None:
    """Outputs times the products that each needs; a transposed convolution by its input."""
    assert macs(nn.Linear(7, 5), torch.rand(2, 3, 7)) == 2 * 3 * 7 * 5
    assert macs(nn.Conv2d(4, 6, 3, groups=2), torch.rand(2, 4, 8, 8)) == 2 * 6 * 6 * 6 * 2 * 9
    assert macs(nn.Conv1d(4, 6, 3), torch.rand(1, 4, 8)) == 6 * 6 * 4 * 3
    assert macs(nn.ConvTranspose2d(4, 6, 2, 2), torch.rand(1, 4, 8, 8)) == 4 * 8 * 8 * 6 * 4


@pytest.mark.parametrize("weights", [False, True], ids=["fused", "unfused"])
def test_attention_counts_whichever_way_it_runs(weights: bool) -> None:
    """Four projections and two products of queries, keys and values."""
    batch, length, width = 2, 10, 16
    x = torch.rand(batch, length, width)
    model = nn.MultiheadAttention(width, 4, batch_first=True)
    found = macs(model, x, x, x, need_weights=weights)
    assert found == batch * (4 * length * width * width + 2 * length * length * width)


def test_a_transformer_layer_counts_despite_its_fast_path() -> None:
    """In evaluation mode torch would run it as one opaque operation."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    found = count_macs(layer.eval(), lambda: layer(torch.rand(2, 10, 16)))
    assert found.total == 2 * (4 * 10 * 16 * 16 + 2 * 10 * 10 * 16 + 2 * 10 * 16 * 32)
    assert not found.uncounted
    assert torch.backends.mha.get_fastpath_enabled()


RECURRENT = [
    (nn.LSTM(8, 16, 2), 4, [8, 16]),
    (nn.LSTM(8, 16, batch_first=True, bidirectional=True), 4, [8, 8]),
    (nn.GRU(8, 16, 2), 3, [8, 16]),
]


@pytest.mark.parametrize(("model", "gates", "widths"), RECURRENT, ids=["lstm", "both", "gru"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_recurrent_layers_by_hand(
    model: nn.RNNBase, gates: int, widths: list[int], device: str
) -> None:
    """Each gate of each layer and direction multiplies the input and the hidden state."""
    steps, batch, hidden = 5, 3, 16
    found = macs(model.to(device), torch.rand(steps, batch, 8, device=device))
    assert found == steps * batch * sum(gates * hidden * (width + hidden) for width in widths)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_fused_attention_counts_on_every_device(device: str) -> None:
    """Whichever kernel the device chooses."""
    query = torch.rand(2, 4, 64, 32, device=device)
    attention = nn.functional.scaled_dot_product_attention
    found = count_macs(nn.Identity(), lambda: attention(query, query, query))
    assert found.total == 2 * 2 * 4 * 64 * 64 * 32


def test_the_reference_unet() -> None:
    """The figure worked out by hand for 256x256; and on the meta device it costs nothing."""
    with torch.device("meta"):
        model, image = UNet(), torch.rand(1, 3, 256, 256)
    assert macs(model, image) == 48_167_387_136
    assert sum(p.numel() for p in model.parameters()) == 31_043_521


def test_what_has_no_formula_is_listed() -> None:
    """A product outside every formula is named, what costs no MACs is not."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.Bilinear(40, 40, 2)

        def forward(self, x: Tensor) -> Tensor:
            spectrum = torch.fft.fft(x).real.relu().sum()
            both: Tensor = self.both(x, x)
            total: Tensor = torch.cdist(x, x) + spectrum + both.mean() + x.softmax(-1).mean()
            return total

    model = Odd()
    found = count_macs(model, lambda: model(torch.rand(1, 40, 40)))
    assert found.total == 0
    names = sorted(name.removeprefix("aten.") for name in found.uncounted)
    assert [name.strip("_").split("_")[0] for name in names] == ["euclidean", "fft", "trilinear"]


def test_modules_share_the_total(tmp_path: Any) -> None:
    """Leaves add up to the root, and the layer table says so."""
    model, image = SimpleCNN(), torch.rand(1, 3, 16, 16)
    found = count_macs(model, lambda: model(image))
    layers = trace_layers(model, lambda: model(image))
    assert found.by_module[""] == found.total
    leaves = [found.by_module.get(layer.path, 0) for layer in layers if layer.leaf]
    assert sum(leaves) == found.total
    write_table(layers, found.by_module, tmp_path / "layers.csv")
    lines = (tmp_path / "layers.csv").read_text().splitlines()
    assert lines[0] == "layer,class,calls,inputs,outputs,own_params,macs"
    assert lines[1] == f"(model),SimpleCNN,1,1x3x16x16,1x10,0,{found.total}"
    assert lines[3] == "features.0,Conv2d,1,1x3x16x16,1x32x16x16,896,221184"


def test_free_operations_have_no_formula() -> None:
    """One that has would be counted, and called free."""
    known = set(flop_registry) | set(formulas())
    assert not {getattr(torch.ops.aten, name, None) for name in FREE} & known


FREE_CALLS: dict[str, Callable[[Tensor], Any]] = {
    "hardswish": F.hardswish,
    "hardswish_": lambda x: F.hardswish(x.clone(), inplace=True),
    "polar": lambda x: torch.polar(x, x).angle(),
    "glu": F.glu,
    "celu": F.celu,
    "rrelu": F.rrelu,
    "prelu": lambda x: F.prelu(x, torch.ones(1)),
    "histc": torch.histc,
    "bucketize": lambda x: torch.bucketize(x, x[0, 0, 0].sort().values),
    "unfold": lambda x: F.fold(F.unfold(x, 2), (8, 8), 2),
    "grid_sample": lambda x: F.grid_sample(x, torch.zeros(2, 3, 3, 2), align_corners=False),
    "scatter_add": lambda x: x.scatter_add(0, torch.zeros_like(x, dtype=torch.int64), x),
    "index_add": lambda x: x.index_add(0, torch.tensor([0]), x[:1]),
    "logcumsumexp": lambda x: torch.logcumsumexp(x, 0).cumsum(0),
    "unique": lambda x: torch.unique(x).numel(),
    "one_hot": lambda x: F.one_hot(x.long().flatten(), 3),
    "tril_indices": lambda _: torch.tril_indices(3, 3),
    "repeat_interleave": lambda x: x.repeat_interleave(2),
    "isin": lambda x: torch.isin(x, x[0]) & torch.isin(x, x[1]),
    "nll": lambda x: F.cross_entropy(x, torch.zeros(2, 8, 8, dtype=torch.int64)),
    "upsample": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", antialias=True),
    "pad": lambda x: F.pad(F.pad(x, (1, 1, 1, 1), "reflect"), (1, 1, 1, 1), "replicate"),
    "shuffle": lambda x: F.channel_shuffle(F.pixel_unshuffle(x, 2), 4),
    "rms_norm": lambda x: F.rms_norm(x, (8,)),
    "multinomial": lambda x: torch.multinomial(x[0, 0], 1),
    "kthvalue": lambda x: (x.kthvalue(1), x.mode(), x.nan_to_num_(), x.erfinv()),
    "as_strided": lambda x: x.as_strided((2, 2), (1, 1)),
    "floor_divide": lambda x: x // 2,
    "eye": lambda _: torch.eye(3),
}  # fmt: skip


@pytest.mark.parametrize("name", FREE_CALLS)
def test_what_cannot_multiply_is_not_listed(name: str) -> None:
    """As itself, in place, or as whatever it is made of."""
    x = torch.rand(2, 4, 8, 8)
    found = count_macs(nn.Identity(), lambda: FREE_CALLS[name](x))
    assert (found.total, dict(found.uncounted)) == (0, {})


PRODUCTS: dict[str, tuple[Callable[[], Any], int]] = {
    "mv": (lambda: torch.rand(3, 4) @ torch.rand(4), 12),
    "dot": (lambda: torch.rand(4) @ torch.rand(4), 4),
    "addmv": (lambda: torch.addmv(torch.rand(3), torch.rand(3, 4), torch.rand(4)), 12),
    "addr": (lambda: torch.addr(torch.rand(3, 4), torch.rand(3), torch.rand(4)), 12),
    "addbmm": (
        lambda: torch.addbmm(torch.rand(3, 5), torch.rand(2, 3, 4), torch.rand(2, 4, 5)), 120,
    ),
    "in place": (lambda: torch.rand(3, 5).addmm_(torch.rand(3, 4), torch.rand(4, 5)), 60),
    "int8": (
        lambda: torch._int_mm(
            torch.ones(32, 16, dtype=torch.int8), torch.ones(16, 8, dtype=torch.int8)
        ), 32 * 16 * 8,
    ),
    "grouped": (
        lambda: torch._grouped_mm(
            torch.ones(16, 32, dtype=torch.bfloat16), torch.ones(2, 32, 8, dtype=torch.bfloat16),
            offs=torch.tensor([4, 16], dtype=torch.int32),
        ), 16 * 32 * 8,
    ),
    "triangular": (
        lambda: torch.linalg.solve_triangular(torch.eye(4), torch.rand(4, 3), upper=False),
        4 * 3 // 2 * 3,
    ),
    "shared heads": (
        lambda: F.scaled_dot_product_attention(
            torch.rand(2, 8, 6, 16), torch.rand(2, 2, 9, 16), torch.rand(2, 2, 9, 16),
            enable_gqa=True,
        ), 2 * 8 * 6 * 9 * 32,
    ),
    "complex": (
        lambda: torch.rand(2, 3, 4, dtype=torch.complex64)
        @ torch.rand(2, 4, 5, dtype=torch.complex64), 4 * 2 * 3 * 4 * 5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_by_hand(name: str) -> None:
    """Whatever shape they come in; heads that share keys and values count each for itself."""
    call, macs = PRODUCTS[name]
    found = count_macs(nn.Identity(), call)
    assert (found.total, dict(found.uncounted)) == (macs, {})


def test_a_parameter_that_is_passed_on_is_counted() -> None:
    """As SAM passes a view of its tokens on; it wants a gradient afterwards as it did before."""

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.layer = nn.Parameter(torch.ones(2, 3)), nn.Linear(3, 5)

        def forward(self) -> torch.Tensor:
            out: torch.Tensor = self.layer(self.token[:1])
            return out

    model = Tokens()
    assert count_macs(model, model).total == 3 * 5
    assert all(parameter.requires_grad for parameter in model.parameters())
