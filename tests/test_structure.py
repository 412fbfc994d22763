"""The structure stage says what a model is, to the digit."""

from __future__ import annotations

import csv
import json

import pytest
from conftest import Command


def test_the_reference_table_of_the_unet(command: Command) -> None:
    """Every figure of the reference, and torchinfo's own beside the exact MACs, with the cause."""
    done = command("model=unet", "test=structure")
    stage = done.results["stages"]["structure"]
    metrics = {name.partition("/")[2]: m["value"] for name, m in stage["metrics"].items()}
    assert metrics["params"] == metrics["trainable_params"] == 31_043_521
    assert metrics["size_mib"] == pytest.approx(118.47, abs=0.005)
    assert metrics["saved_mib"] == pytest.approx(118.5, abs=0.05)
    assert metrics["macs_g"] == 48.167387136
    assert metrics["uncounted_ops"] == 0
    assert metrics["torchinfo_mult_adds_g"] == pytest.approx(54.65, abs=0.005)
    assert metrics["input_mb"] == pytest.approx(0.79, abs=0.005)
    assert metrics["forward_backward_mb"] == pytest.approx(575.14, abs=0.005)
    assert metrics["params_mb"] == pytest.approx(124.17, abs=0.005)
    assert metrics["total_mb"] == pytest.approx(700.10, abs=0.005)
    assert stage["details"]["output_shapes"] == {"0": [1, 1, 256, 256]}
    for figure in ("31,043,521", "118.47", "48.167", "54.650", "0.79", "575.14", "700.10"):
        assert figure in done.out
    assert "counts a transposed convolution by its output area" in " ".join(done.out.split())
    with (done.files[0].parent / "layers.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert sum(int(row["own_params"]) for row in rows) == 31_043_521


def test_a_dataclass_output_and_two_kinds_of_argument(command: Command) -> None:
    """Shapes by path, attention counted, and no trouble where torchinfo gives up."""
    done = command("model=encoder", "test=structure")
    stage = done.results["stages"]["structure"]
    assert stage["status"] == "passed"
    details = stage["details"]
    assert details["input_shapes"] == {"0": [2, 5], "label": [2]}
    assert details["output_shapes"] == {"hidden": [2, 5, 8], "more.pooled": [2, 8]}
    exact = 2 * (4 * 5 * 8 * 8 + 2 * 5 * 5 * 8)
    assert stage["metrics"]["structure/macs_g"]["value"] * 1e9 == pytest.approx(exact)
    assert any("torchinfo cannot summarise this model" in n for n in details["notes"])
    assert not stage["warnings"]


def test_an_output_that_is_not_finite_is_a_warning(command: Command) -> None:
    """And named."""
    done = command("model=broken", "test=structure")
    stage = done.results["stages"]["structure"]
    assert stage["details"]["output_finite"] == {"0": False}
    assert "output 0 holds NaN or infinity" in stage["warnings"]


def test_a_model_that_returns_no_tensor_fails(command: Command) -> None:
    """With a reason that names it."""
    done = command("model=silent", "test=structure")
    assert done.status == 1
    reason = done.results["stages"]["structure"]["reason"]
    assert reason == "forward: TypeError: Silent returned no tensor; expected at least one"


def test_seven_billion_parameters_without_memory(command: Command) -> None:
    """The structure is exact, and what needs numbers is skipped with that reason."""
    done = command("model=llama7b", "test=[structure,fine]")
    stages = done.results["stages"]
    assert done.status == 0
    metrics = stages["structure"]["metrics"]
    assert metrics["structure/params"]["value"] == 6_738_415_616
    attention = 2 * 32 * 128 * 128 * 4096
    linear = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * 32000
    assert metrics["structure/macs_g"]["value"] == (128 * linear + attention) / 1e9
    assert "structure/saved_mib" not in metrics
    assert stages["structure"]["details"]["worker_peak_mib"] < 2048
    assert stages["fine"]["status"] == "skipped"
    assert "model.weights=fake" in stages["fine"]["reason"]


def test_a_model_without_memory_counts_like_a_real_one(command: Command) -> None:
    """All that needs no numbers is the same."""
    found = []
    for weights in ("random", "fake"):
        folder = f"hydra.run.dir=outputs/{weights}"
        done = command("model=cnn", "test=structure", f"model.weights={weights}", folder)
        file = done.folder / "outputs" / weights / "results.json"
        metrics = json.loads(file.read_text())["stages"]["structure"]["metrics"]
        metrics.pop("structure/saved_mib", None)
        found.append(metrics)
    assert found[0] == found[1]


def test_what_fails_within_costs_no_other_figure(command: Command) -> None:
    """A model that cannot be saved, copied, taken apart or summarised is counted all the same."""
    done = command("model=toy", "test=structure", "model.build._target_=failing.Awkward")
    stage = done.results["stages"]["structure"]
    assert stage["status"] == "failed"
    assert stage["reason"].split("; ") == [
        "saved_mib: NotImplementedError: no state",
        "its method parts: LookupError: which parts?",
    ]
    assert stage["metrics"]["structure/macs_g"]["value"] * 1e9 == pytest.approx(2 * 4 * 2)
    assert stage["metrics"]["structure/params"]["value"] == 10
    assert "layers.csv" in stage["artifacts"]
    assert not stage["warnings"]
    assert "structure/saved_mib" not in stage["metrics"]


def test_a_model_that_does_not_run_has_parameters_all_the_same(command: Command) -> None:
    """And the reason, once."""
    done = command("model=toy", "test=structure", "model.build._target_=failing.Stops")
    stage = done.results["stages"]["structure"]
    assert stage["reason"] == "forward: RuntimeError: not today"
    assert stage["metrics"]["structure/params"]["value"] == 10
    assert stage["metrics"]["structure/saved_mib"]["value"] > 0
    assert "structure/macs_g" not in stage["metrics"]


def test_the_input_is_as_large_as_its_tensors(command: Command) -> None:
    """Named arguments come in a dictionary, whose own size is not in it."""
    done = command("model=toy", "test=structure", "batch_size=3")
    metrics = done.results["stages"]["structure"]["metrics"]
    assert metrics["structure/input_mb"]["value"] == 3 * 4 * 4 / 1e6
    parts = ("input_mb", "forward_backward_mb", "params_mb")
    total = sum(metrics[f"structure/{part}"]["value"] for part in parts)
    assert metrics["structure/total_mb"]["value"] == pytest.approx(total)
