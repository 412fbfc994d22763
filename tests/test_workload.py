"""A workload builds what its YAML describes, the same each time, or says why it cannot."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import CONFIGS
from hydra import compose, initialize_config_dir
from torch._subclasses.fake_tensor import FakeTensor

from modelbench.config import schema
from modelbench.config.targets import signature_errors
from modelbench.config.validate import check
from modelbench.inputs import Noise
from modelbench.models.shapes import Shapes
from modelbench.models.workload import Workload


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(CONFIGS)


def composed(*overrides: str) -> dict[str, Any]:
    """Return the configuration of a command line."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        words = [f"hydra.searchpath=[file://{CONFIGS}]", *overrides]
        return check(compose("config", words), [schema.CONF, CONFIGS]).plain


def workload(*overrides: str) -> Workload:
    """Make the workload of a command line, on the CPU."""
    plain = composed(*overrides)
    return Workload.of(plain, schema.axes(plain), torch.device("cpu"))


def test_models_are_built_afresh_and_alike() -> None:
    """Seeded weights, evaluation mode; another seed, other weights."""
    first, second = workload("model=toy").build(), workload("model=toy").build()
    assert first is not second
    assert not first.training
    assert torch.equal(*(m.get_parameter("linear.weight") for m in (first, second)))
    third = workload("model=toy", "seed=1").build()
    assert not torch.equal(*(m.get_parameter("linear.weight") for m in (first, third)))


def test_batches_follow_the_sizes() -> None:
    """The workload's own sizes, or those of one call."""
    toy = workload("model=toy", "batch_size=6")
    assert toy.batch().named()["x"].shape == (6, 4)
    assert toy.batch(batch_size=2).named()["x"].shape == (2, 4)


def test_positional_and_named_arguments() -> None:
    """A key that is a number is a place, and dataclass outputs come through."""
    encoder = workload("model=encoder")
    batch = encoder.batch()
    assert [tensor.shape for tensor in batch.args] == [(2, 5)]
    assert set(batch.named()) == {"0", "label"}
    assert encoder.phases == ["forward"]
    hidden: Any = encoder.phase("forward", encoder.build(), batch)()
    assert hidden.hidden.shape == (2, 5, 8)


def test_phases_of_ones_own() -> None:
    """A phase prepares its call from the model and the batch."""
    toy = workload("model=toy", "+model.phases={mean: {_target_: toys.mean_of}}")
    assert toy.phases == ["mean"]
    assert toy.phase("mean", toy.build(), toy.batch())().shape == ()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.build={_target_: toys.no_module, width: 1}", "toys.no_module returned str"),
        (
            "model.inputs={y: {_target_: modelbench.inputs.Labels, num_classes: 2}}",
            "model.inputs gives x, y, but Toy.forward takes (x: torch.Tensor)",
        ),
    ],
)
def test_what_does_not_fit_is_explained(override: str, message: str) -> None:
    """A recipe that gives no module, and arguments that forward does not take."""
    found = workload("model=toy", override)
    recipe = {key: value for key, value in found.recipe.items() if value != 1}
    with pytest.raises(TypeError) as caught:
        Workload(found.name, found.axes, found.device, recipe, found.sources).build()
    assert message in str(caught.value)


def test_arguments_are_held_against_signatures() -> None:
    """Nested targets too; a decorated constructor may take more than it shows."""
    config = {"_target_": "transformers.ResNetConfig", "num_labels": 3}
    model = {"_target_": "transformers.ResNetForImageClassification", "config": config}
    assert signature_errors("model", {"build": model}) == []
    wrong = {"_target_": "toys.Toy", "width": 3, "depth": 2}
    (line,) = signature_errors("model", {"build": {"_target_": "toys.Silent"}, "parts": [wrong]})
    assert line.startswith("model.parts.0: toys.Toy: got an unexpected keyword argument 'depth'")
    (line,) = signature_errors("model", {"_target_": "toys.Nothing"})
    assert line == "model._target_=toys.Nothing: toys has no 'Nothing'"
    assert "toys" in sys.modules


def test_what_is_called_later_may_lack_arguments() -> None:
    """Phases and losses get model and batch when they are called."""
    phases = {"phases": {"mean": {"_target_": "toys.mean_of"}}}
    assert "missing a required argument" in signature_errors("model", phases)[0]
    assert signature_errors("model", phases, partial=True) == []


def test_lazy_modules_are_initialised_by_a_first_call() -> None:
    """Seeded as any other weights, and without memory they have the same sizes."""
    noise = Noise(("batch_size", 3, 8, 8))
    sizes, recipe = {"batch_size": 2}, {"_target_": "idioms.lazy"}
    lazy = Workload("lazy", sizes, torch.device("cpu"), recipe, {"0": noise})
    first, second = (lazy.build().state_dict() for _ in range(2))
    assert first["4.weight"].shape == (5, 4 * 6 * 6)
    assert first["1.num_batches_tracked"] == 0
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    fake = replace(lazy, fake=Shapes()).build()
    assert {n: t.shape for n, t in fake.state_dict().items()} == {
        name: tensor.shape for name, tensor in first.items()
    }
    assert all(isinstance(tensor, FakeTensor) for tensor in fake.state_dict().values())
    assert fake.get_parameter("0.weight").device.type == "cpu"


def test_a_model_that_looks_at_numbers_while_it_is_made_needs_no_memory() -> None:
    """Its parameters are shapes all the same, and tied ones stay one."""
    recipe = {"_target_": "idioms.Measured"}
    noise = Noise(("batch_size", 4))
    real = Workload("measured", {"batch_size": 2}, torch.device("cpu"), recipe, {"0": noise})
    fake = replace(real, fake=Shapes()).build()
    assert {n: t.shape for n, t in fake.state_dict().items()} == {
        name: tensor.shape for name, tensor in real.build().state_dict().items()
    }
    assert all(isinstance(tensor, FakeTensor) for tensor in fake.state_dict().values())
    assert fake.get_parameter("again.weight") is fake.get_parameter("layers.0.weight")
    assert len(list(fake.parameters())) == len(list(real.build().parameters()))
