"""The algorithm stage finds what keeps a model from learning, and names it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from conftest import Command
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

from modelbench.inputs import Draw
from modelbench.inputs.digits import Digits
from modelbench.measurement.numerics.consistency import common
from modelbench.measurement.numerics.fidelity import all_finite
from modelbench.measurement.training.first_step import Before, Keeps


def stage_of(command: Command, *words: str) -> dict[str, Any]:
    """Run the stage on a planted model."""
    done = command("model=planted", "test=algorithm", "test.algorithm.steps=12", *words)
    results = json.loads(max(done.files).read_text(encoding="utf-8"))
    stage: dict[str, Any] = results["stages"]["algorithm"]
    assert done.status == (stage["status"] == "failed")
    assert "Traceback" not in done.out + done.err
    return stage


def planted(name: str) -> str:
    """Put a model with a fault in the place of the sound one."""
    return f"model.build._target_=planted.{name}"


def test_a_sound_model_passes(command: Command) -> None:
    """With the curves, the figures, and nothing to warn of."""
    stage = stage_of(command)
    assert (stage["status"], stage["warnings"]) == ("passed", [])
    metrics = {name.partition("/")[2]: m["value"] for name, m in stage["metrics"].items()}
    losses, norms = stage["series"]["algorithm/loss"], stage["series"]["algorithm/grad_norm"]
    assert len(losses) == len(norms) == 12
    assert metrics["loss_first"] == losses[0] == pytest.approx(1.609, abs=0.3)  # ln 5
    assert metrics["loss_drop"] == pytest.approx(1 - metrics["loss_last"] / losses[0])
    assert metrics["dead_params"] == 0
    assert stage["details"]["repeat_difference"] == stage["details"]["resume_difference"] == 0
    parameters = 3 * 4 * 9 + 4 + 4 * 5 + 5
    assert stage["details"]["optimizer"] == {
        "class": "AdamW",
        "state_mib": 2 * 4 * parameters / 2**20,
    }


def test_what_numpy_and_python_draw_comes_again(command: Command) -> None:
    """After going on from a checkpoint as well: only the state_dict is judged."""
    stage = stage_of(command, planted("Masked"))
    assert stage["status"] == "passed"
    assert stage["details"]["repeat_difference"] == stage["details"]["resume_difference"] == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((planted("NaNLater"),), "step 5: the loss is nan, first from Breaks norm"),
        ((planted("Leaks"),), "a sample's output 0 depends on the other samples in its"),
        ((planted("Moves"),), "frozen, but updated: first.weight"),
        ((planted("Counts"),), "is not in its state_dict"),
        (("test.algorithm.optimizer.lr=0",), "the learning rate is 0: AdamW updates no parameter"),
        (("test.algorithm.optimizer._target_=planted.Half",), "Half's first step on "),
        (("model.loss._target_=planted.constant",), "does not depend on the parameters"),
        (("model.loss._target_=planted.detached",), "the loss has no gradient: it is detached"),
        (("model.loss._target_=planted.not_a_number",), "in the loss itself, not in a layer"),
        (("model.loss._target_=planted.many",), "the loss is [2, 5]; expected a scalar tensor"),
        (("test.algorithm.optimizer.lr=1e-9",), "the loss does not fall"),
        (("test.algorithm.optimizer.lr=-1",), "ValueError: Invalid learning rate: -1"),
    ],
)
def test_a_fault_fails_and_is_named(words: tuple[str, ...], reason: str, command: Command) -> None:
    """Each in the reason."""
    stage = stage_of(command, *words)
    assert stage["status"] == "failed"
    assert reason in stage["reason"]


def test_a_detached_layer_is_named(command: Command) -> None:
    """Its parameters are dead; the others learn."""
    stage = stage_of(command, planted("Detached"), "test.algorithm.min_drop=0.001")
    assert stage["metrics"]["algorithm/dead_params"]["value"] == 2
    assert any("first.weight, first.bias never received a nonzero" in w for w in stage["warnings"])


def test_a_frozen_layer_is_named(command: Command) -> None:
    """As one that was perhaps forgotten."""
    stage = stage_of(command, planted("HalfFrozen"), "test.algorithm.min_drop=0.001")
    assert any("frozen: first.weight, first.bias" in note for note in stage["details"]["notes"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [("Nothing", "it has no parameters"), ("Frozen", "all 4 parameters are frozen")],
)
def test_nothing_to_train_is_skipped(name: str, reason: str, command: Command) -> None:
    """With the reason."""
    stage = stage_of(command, planted(name))
    assert stage["status"] == "skipped"
    assert reason in stage["reason"]


def test_outputs_without_a_gradient_are_skipped(command: Command) -> None:
    """Where the YAML names no loss; the reason says what they are."""
    stage = stage_of(command, planted("Integers"), "model.loss=null")
    assert stage["status"] == "skipped"
    assert "no output is floating-point (int64), and the model's YAML names no" in stage["reason"]


def test_a_loss_that_nobody_named_fails_no_model_for_falling_slowly(command: Command) -> None:
    """The mean square of what a normalisation gives out hardly falls: it is a warning."""
    words = (planted("Normalised"), "model.loss=null", "test.algorithm.min_drop=0.9999")
    stage = stage_of(command, *words)
    assert stage["status"] == "passed"
    assert any("name a loss in the model's YAML to check more" in w for w in stage["warnings"])


@pytest.mark.slow
def test_states_of_a_recurrent_network_are_no_leak(command: Command) -> None:
    """Though the first of their dimensions is the layers."""
    stage = stage_of(command, planted("States"), "model.loss=null")
    assert stage["status"] == "passed", stage["reason"]
    assert stage["details"]["leak"] < 1e-3


def test_a_loss_that_starts_elsewhere_is_a_warning(command: Command) -> None:
    """With where it should be."""
    stage = stage_of(command, "model.learning_rate=0.1", planted("Loud"))
    assert any("away from the chance level of 1.609" in w for w in stage["warnings"])


@pytest.mark.slow
def test_labelled_data_is_learnt(command: Command) -> None:
    """With the accuracy before and after on digits that training does not see."""
    done = command("model=cnn", "test=algorithm", "test.algorithm.data_steps=200")
    metrics = done.results["stages"]["algorithm"]["metrics"]
    assert metrics["algorithm/accuracy_before"]["value"] < 0.25
    assert metrics["algorithm/accuracy_after"]["value"] > 0.4


def test_half_precision_trains_under_autocast(command: Command) -> None:
    """And a precision of inference is skipped."""
    assert stage_of(command, "precision=bf16")["status"] == "passed"
    stage = stage_of(command, "precision=int8_dynamic")
    assert stage["status"] == "skipped"
    assert "train in fp32, bf16 or fp16" in stage["reason"]


def test_errors_in_the_optimizer_are_said_beforehand(command: Command) -> None:
    """One that does not exist, one that is no class, arguments that it does not take."""
    done = command("test=algorithm", "test.algorithm.optimizer._target_=torch.optim.Adamw")
    assert done.status == 1
    assert "torch.optim" in done.err
    assert "Adamw" in done.err
    done = command("test=algorithm", "test.algorithm.optimizer=sgd")
    assert "expected _target_: torch.optim.AdamW or another optimizer" in " ".join(done.err.split())
    done = command("test=algorithm", "+test.algorithm.optimizer.momentum=0.9")
    assert "it takes params, lr" in " ".join(done.err.split())
    done = command("test=algorithm", "test.algorithm.steps=1", "test.algorithm.min_drop=2")
    assert "expected 3 or more" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SGD, {"weight_decay": 0.1}),
        (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        (SGD, {"maximize": True}),
        (Adam, {"weight_decay": 0.1}),
        (AdamW, {"weight_decay": 0.1, "amsgrad": True}),
        (Adagrad, {"weight_decay": 0.1, "initial_accumulator_value": 0.5}),
        (RMSprop, {"weight_decay": 0.1, "centered": True}),
    ],
)
def test_the_formulas_are_those_of_torch(kind: Any, options: dict[str, Any]) -> None:
    """And another learning rate or weight decay is not."""
    torch.manual_seed(0)
    # On the first step, these three divide what decays the weights by itself.
    blind = kind in (Adam, RMSprop, Adagrad)
    for lie in ({}, {"lr": 0.02}, {} if blind else {"weight_decay": 0.3}):
        layer = nn.Linear(5, 3)
        named = dict(layer.named_parameters())
        optimizer = kind(named.values(), **{"lr": 0.01, **options})
        before = Before.of(optimizer, named)
        layer(torch.randn(4, 5)).square().mean().backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group.update(lie)
        assert (before.wrong() is None) == (not lie)
        assert before.unmoved() == []


def test_what_an_optimizer_keeps() -> None:
    """In multiples of its parameters."""
    assert Keeps.of(AdamW).state == 2
    assert Keeps.of(lambda p: SGD(p, 0.1)).state == 0
    assert Keeps.of(lambda p: SGD(p, 0.1, momentum=0.9)).state == 1
    assert Keeps.of(AdamW).temporary > 0


def test_the_digits() -> None:
    """A quarter is kept apart; the seed decides the order; classes can be fewer."""
    data = Digits("images", channels=1, num_classes=10, batch_size=50)
    test = list(data.test(Draw({"image_size": 8})))
    assert sum(len(b.named()["images"]) for b in test) == 450
    training = data.training(Draw({"image_size": 16}, seed=1))
    first = next(training)
    assert list(first.named()["images"].shape) == [50, 1, 16, 16]
    again = next(data.training(Draw({"image_size": 16}, seed=1)))
    assert torch.equal(first.named()["images"], again.named()["images"])
    few = next(Digits("images", num_classes=3).training(Draw({"image_size": 8})))
    assert few.labels is not None
    assert int(few.labels.max()) <= 2


def test_a_gradient_of_rounding_may_move_nothing(command: Command) -> None:
    """The bias before a normalisation, and a step below the weight's last bit."""
    sgd = "test.algorithm.optimizer={_target_: torch.optim.SGD, lr: 0.001}"
    stage = stage_of(command, planted("Normed"), sgd, "test.algorithm.min_drop=0.00001")
    assert stage["status"] == "passed", stage["reason"]


def test_what_is_random_in_evaluation_is_no_leak(command: Command) -> None:
    """It is warned of, since nothing can be told."""
    stage = stage_of(command, planted("Random"))
    assert "leak" not in stage["details"]
    assert any("changes from call to call in eval mode" in w for w in stage["warnings"])


def test_a_sample_is_found_in_any_dimension(command: Command) -> None:
    """Behind time, and in some inputs not at all."""
    done = command("model=sequence", "test=algorithm", "test.algorithm.steps=10")
    stage = done.results["stages"]["algorithm"]
    assert (stage["status"], stage["reason"]) == ("passed", None)
    assert stage["details"]["leak"] < 1e-3


def test_a_fault_outside_layers_is_named_by_its_module(command: Command) -> None:
    """And not blamed on the loss."""
    stage = stage_of(command, planted("Outside"))
    assert "the loss is nan, first from Outside" in stage["reason"]


def test_half_precision_does_not_hide_a_gradient_that_is_none(command: Command) -> None:
    """The steps are left out, and the loss is not said to be constant."""
    stage = stage_of(command, planted("NaNGradient"), "precision=fp16")
    assert stage["status"] == "failed"
    assert "the gradients held NaN or infinity" in stage["reason"]
    assert "does not depend" not in stage["reason"]
    assert "the optimizer was not checked" in "".join(stage["details"]["notes"])
    later = stage_of(command, planted("NaNGradient"), "precision=fp16", "test.algorithm.steps=20")
    assert "step 17: the gradient of" in later["reason"]  # the scale, 2 to the 16th, is below one


def test_outputs_in_a_dict_are_understood(command: Command) -> None:
    """With their logits."""
    assert stage_of(command, planted("Dictionary"))["status"] == "passed"


def test_a_model_of_one_sample_trains_on_one(command: Command) -> None:
    """Where its YAML says so."""
    limit = "model.limits={batch_size: {max: 1}}"
    stage = stage_of(command, planted("Single"), limit, "batch_size=1")
    assert stage["status"] == "passed", stage["reason"]
    assert "leak" not in stage["details"]


def test_an_optimizer_that_wants_a_closure_is_said(command: Command) -> None:
    """In words for people."""
    stage = stage_of(command, "test.algorithm.optimizer._target_=torch.optim.LBFGS")
    assert "LBFGS computes the loss several times in one step" in stage["reason"]


def test_what_keeps_rows_and_columns_keeps_little() -> None:
    """Of a matrix; another one has to be one."""
    assert Keeps.of(torch.optim.Adafactor).state == pytest.approx(64 / 1024)
    assert Keeps.of(torch.optim.Muon).state == 1
    assert (Keeps.of(lambda p: SGD(p, 0.1)).state, Keeps.of(AdamW).state) == (0, 2)


def test_outputs_that_are_complex_or_infinite_are_compared() -> None:
    """And where there is nothing to compare, nothing is told."""
    ones = torch.ones(2, 3)
    assert common(torch.ones(2, 3, dtype=torch.int64), ones.long()) is None
    found = common(ones * 1j, ones * 2j)
    assert found is not None
    assert found.matters
    masked = torch.tensor([[0.0, -math.inf], [1.0, -math.inf]])
    same = common(masked[:1], masked)
    assert same is not None
    assert not same.matters
    assert not all_finite(torch.tensor([complex(math.nan, 0)]))
