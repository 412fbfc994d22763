"""Counting costs no computation, and is the same as counting while computing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import idioms
import pytest
import torch
import transformers
from checkpoints import clip
from test_models import pairs
from test_workload import workload
from torch import Tensor, nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.counting import Counted, count
from modelbench.measurement.compute.flops import Macs, count_macs
from modelbench.measurement.memory.saving import saved_bytes
from modelbench.stages.structure.experts import idle_params


def macs_of(found: Counted) -> Macs:
    """Return the MACs of what was counted."""
    assert found.macs is not None
    return found.macs


class Watched(nn.Module):
    """Notes whether real numbers came by."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        """Multiply once."""
        self.seen.append(type(x) is Tensor)
        result: Tensor = self.linear(x)
        return result


class Choosing(Watched):
    """Looks at a number to decide what to do."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply once or twice."""
        return super().forward(x) if x.sum() > 0 else self.linear(self.linear(x)[:, :3])


def test_nothing_is_computed() -> None:
    """The model itself is not even called: a copy without memory is."""
    model = Watched()
    found = count(model, Batch((torch.ones(2, 3),), {}), here=False)
    assert macs_of(found[""]).total == 24
    assert model.seen == []


def test_a_model_that_looks_at_numbers_is_run() -> None:
    """And counted as it ran."""
    model = Choosing()
    found = count(model, Batch((torch.ones(2, 3),), {}), here=False)
    assert macs_of(found[""]).total == 24
    assert all(model.seen)


def test_the_same_as_while_computing() -> None:
    """MACs by module and shapes, of a model with attention and one with parts."""
    model, batch = clip(), pairs()
    found = count(model, batch, here=False)[""]
    real = count_macs(model, lambda: batch.call(model))
    assert macs_of(found).by_module == real.by_module
    assert (macs_of(found).total, macs_of(found).uncounted) == (real.total, real.uncounted)
    tiny = workload("model=stable_diffusion", "model.variant=tiny")
    net, given = tiny.build(), tiny.batch()
    parts = count(net, given, here=False)
    assert list(parts) == ["", "text_encoder", "unet", "vae"]
    assert macs_of(parts[""]).by_module == count_macs(net, lambda: given.call(net)).by_module


def test_the_size_of_a_file_that_is_not_written(tmp_path: Path) -> None:
    """To the byte, tied weights once."""
    state = {"a": torch.rand(1000), "b": torch.rand(10)}
    state["tied"] = state["a"]
    torch.save(state, tmp_path / "weights.pt")
    assert saved_bytes(state) == (tmp_path / "weights.pt").stat().st_size
    assert saved_bytes(clip().state_dict()) > 4 * sum(p.numel() for p in clip().parameters())


@pytest.mark.parametrize("experts", ["eager", "batched_mm", "grouped_mm"])
def test_experts_by_hand(experts: str) -> None:
    """The router, of the experts those that a token is sent to, attention by groups, the head."""
    layers, width, inner, vocabulary, count_of, chosen = 2, 64, 96, 300, 4, 2
    heads, shared, each = 4, 2, 16
    config = transformers.MixtralConfig(
        hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, head_dim=each,
        num_attention_heads=heads, num_key_value_heads=shared, num_local_experts=count_of,
        num_experts_per_tok=chosen, vocab_size=vocabulary, sliding_window=None,
        experts_implementation=experts,
    )  # fmt: skip
    model = transformers.MixtralForCausalLM(config).eval()
    assert model.config._experts_implementation == experts
    batch, length = 2, 9
    tokens = torch.randint(0, vocabulary, (batch, length))
    projections = 2 * width * heads * each + 2 * width * shared * each
    feed_forward = width * count_of + chosen * 3 * width * inner
    attention = 2 * heads * length * each
    by_hand = layers * (projections + feed_forward + attention) + width * vocabulary
    for here in (True, False):
        found = count(model, Batch((), {"input_ids": tokens}), here=here)[""]
        assert macs_of(found).total == batch * length * by_hand
        assert not macs_of(found).uncounted
        assert found.layers is not None
        idle = layers * (count_of - chosen) * 3 * width * inner
        assert idle_params(model, found.layers, macs_of(found).by_module) == idle


def test_experts_of_ones_own() -> None:
    """A list of modules, of which each token meets one; without experts no parameter is idle."""

    class Switch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

        def forward(self, x: Tensor) -> Any:
            return torch.stack([self.experts[n % 4](row) for n, row in enumerate(x)])

    model, batch = nn.Sequential(Switch(), nn.Linear(8, 3)), Batch((torch.rand(6, 8),), {})
    found = count(model, batch, here=True)[""]
    assert found.layers is not None
    assert idle_params(model, found.layers, macs_of(found).by_module) == 3 * (8 * 8 + 8)
    plain = count(model[1], batch, here=True)[""]
    assert plain.layers is not None
    assert idle_params(model[1], plain.layers, macs_of(plain).by_module) == 0


IDIOMS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "shared": (idioms.Shared, (2, 3, 4, 8), 3 * 24 * 8 * 8),
    "complex": (idioms.Complex, (3, 8), 4 * 3 * 8 * 5),
    "weight_norm": (idioms.weighted, (3, 8), 3 * 8 * 5),
    "spectral_norm": (idioms.spectral, (3, 8), 3 * 8 * 5 + 8 * 5 + 5),
    "Conv1d": (lambda: nn.Conv1d(2, 4, 3), (1, 2, 8), 6 * 4 * 2 * 3),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 3), (1, 2, 5, 5, 5), 27 * 3 * 2 * 27),
    "scripted": (idioms.Scripted, (2, 3, 8, 8), 2 * (36 * 4 * 27 + 36 * 4 * 4 + 144 * 5)),
    "traced": (idioms.traced, (3, 8), 3 * 8 * 5),
}  # fmt: skip


@pytest.mark.parametrize("name", IDIOMS)
def test_idioms_by_hand(name: str) -> None:
    """Every call of a layer counts, also within a script, a power iteration's products as well."""
    build, shape, macs = IDIOMS[name]
    model = build()
    for here in (True, False):
        found = count(model.eval(), Batch((torch.rand(shape),), {}), here=here)[""]
        assert found.failed == []
        assert (macs_of(found).total, dict(macs_of(found).uncounted)) == (macs, {})


def test_a_scripted_part_is_one_layer_and_that_is_said() -> None:
    """Its parameters and MACs are whole, and no line says that a layer within did not run."""
    found = count(idioms.Scripted().eval(), Batch((torch.rand(2, 3, 8, 8),), {}), here=True)[""]
    assert found.layers is not None
    assert [(layer.path, layer.calls) for layer in found.layers] == [
        ("", 1), ("first", 1), ("inner", 1), ("last", 1)
    ]  # fmt: skip
    assert sum(layer.params for layer in found.layers) == 112 + 20 + 725
    (note,) = found.notes
    assert "inner is a RecursiveScriptModule: hooks do not see its inner layers" in note


def test_a_shared_layer_has_its_parameters_once_and_its_calls_all() -> None:
    """Under its first name."""
    found = count(idioms.Shared(), Batch((torch.rand(2, 8),), {}), here=True)[""]
    assert found.layers is not None
    assert [(each.path, each.params, each.calls) for each in found.layers] == [
        ("", 0, 1), ("one", 72, 3)
    ]  # fmt: skip


def test_what_cannot_be_copied_is_run() -> None:
    """And counted as exactly."""

    class Fixed(nn.Linear):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("cannot pickle a socket")

    found = count(Fixed(8, 5), Batch((torch.rand(3, 8),), {}), here=False)[""]
    assert macs_of(found).total == 3 * 8 * 5
    assert not found.failed
