"""The memory stage measures exactly, and estimates what it measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from conftest import Command
from torch import nn

from modelbench.measurement.isolated import Ended, Send, isolated
from modelbench.measurement.memory.live import Live, Saved, inference_peak
from modelbench.measurement.memory.meter import Meter, give_back, load_libraries

CPU = torch.device("cpu")
MIB = 2**20


def stage_of(command: Command, *words: str) -> dict[str, Any]:
    """Run the stage on a planted model."""
    done = command("model=planted", "test=memory", *words)
    stage: dict[str, Any] = done.results["stages"]["memory"]
    assert done.status == (stage["status"] == "failed")
    return stage


def values(stage: dict[str, Any]) -> dict[str, float]:
    """Return the metrics by their short names."""
    return {name.partition("/")[2]: m["value"] for name, m in stage["metrics"].items()}


def test_weights_gradients_and_state_are_exact(command: Command) -> None:
    """In bytes."""
    stage = stage_of(command)
    found, parameters = values(stage), 3 * 4 * 9 + 4 + 4 * 5 + 5
    assert stage["status"] == "passed"
    assert found["weights_mib"] == found["gradients_mib"] == 4 * parameters / MIB
    assert found["optimizer_mib"] == 2 * found["weights_mib"]
    # What the convolution, the activation and the linear layer keep; then the loss, which keeps
    # probabilities, int64 classes and the sum of their weights.
    maps, pooled = 2 * 4 * 32 * 32 * 4, 2 * 4 * 4
    loss = 2 * 5 * 4 + 2 * 8 + 4
    assert found["activations_mib"] * MIB == maps + pooled + loss
    assert "activations.csv" in stage["artifacts"]


def test_a_spike_of_50_ms_is_measured(command: Command) -> None:
    """Within 2%, and named as what was not estimated."""
    stage = stage_of(command, "model.build._target_=planted.Spike")
    found = values(stage)
    assert found["inference_peak_mib"] == pytest.approx(512, rel=0.02)
    assert found["training_peak_mib"] == pytest.approx(512, rel=0.04)
    assert any("inference: its peak misses the estimate by +" in w for w in stage["warnings"])


def test_inputs_are_tried_without_harm_to_the_forks_that_follow(command: Command) -> None:
    """Which input a model runs on is found by computing; a process that has cannot be forked."""
    other = "{images:{_target_:modelbench.inputs.Image,channels:1}}"
    stage = stage_of(
        command, f"model.alternatives=[{other}]", "image_size=256", "test.memory.timeout_s=60"
    )
    assert stage["status"] == "passed"


def test_a_training_that_ends_the_process_loses_nothing_else(command: Command) -> None:
    """Inference is measured, training is estimated, and the reason says how it ended."""
    stage = stage_of(command, "model.build._target_=planted.DiesTraining")
    assert stage["status"] == "failed"
    assert stage["reason"] == "training: the process exited with status 7"
    assert {"inference_peak_mib", "predicted_training_peak_mib"} <= set(values(stage))


def test_nothing_to_train_leaves_out_training(command: Command) -> None:
    """With the reason; inference is measured."""
    stage = stage_of(command, "model.build._target_=planted.Nothing")
    assert stage["status"] == "passed"
    assert "inference_peak_mib" in values(stage)
    assert "training_peak_mib" not in values(stage)
    assert any("training skipped: Nothing has nothing to train" in n for n in notes(stage))


def test_what_has_no_gradient_leaves_out_training(command: Command) -> None:
    """With the reason, where the YAML names no loss."""
    stage = stage_of(command, "model.build._target_=planted.Integers", "model.loss=null")
    assert stage["status"] == "passed"
    assert any("training skipped: there is no training objective" in n for n in notes(stage))


def test_a_scripted_part_takes_no_hooks_and_training_is_foreseen(command: Command) -> None:
    """What it keeps counts with the layer around it."""
    stage = stage_of(command, "model.build._target_=planted.Scripted")
    assert stage["status"] == "passed"
    assert {"predicted_training_peak_mib", "training_peak_mib"} <= set(values(stage))


def notes(stage: dict[str, Any]) -> list[str]:
    """Return what is said."""
    said: list[str] = stage["details"]["notes"]
    return said


def test_what_does_not_fit_is_foreseen_only(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that takes more than there is."""
    stage = stage_of(command, "batch_size=4", "image_size=32", "test.memory.margin=0.0000000001")
    assert {"training_peak_mib", "inference_peak_mib"}.isdisjoint(values(stage))
    assert any("inference is only estimated: it needs" in note for note in notes(stage))


def test_a_precision_of_inference_has_no_training(command: Command) -> None:
    """It is said, and inference is measured."""
    stage = stage_of(command, "precision=int8_weight_only")
    assert any("training skipped: the precision is for inference only" in n for n in notes(stage))


def allocate(size: int, send: Send) -> None:
    """Hold some memory for a moment."""
    torch.set_num_threads(1)  # this process has used OpenMP's threads, which a fork does not have
    meter = Meter(CPU)
    held = torch.ones(size, dtype=torch.uint8)
    send(meter.held())
    del held
    send(meter.peak())
    meter.restart()
    send(meter.peak())


def test_a_known_peak_is_found() -> None:
    """512 MiB within 2%, also once it has gone."""
    held, peak, after = isolated(partial(allocate, 512 * MIB), CPU)
    assert held == pytest.approx(512 * MIB, rel=0.02)
    assert peak == pytest.approx(512 * MIB, rel=0.02)
    assert after < 16 * MIB


def die(send: Send) -> None:
    """Send one thing, and end the process."""
    import os

    send(1)
    os._exit(3)


def fail(send: Send) -> None:
    """Raise what cannot be pickled."""

    class Local(Exception):  # noqa: N818
        pass

    send("before")
    raise Local("why")


def sleep(send: Send) -> None:
    """Never answer."""
    import time

    time.sleep(60)


def test_a_process_that_dies_hangs_or_raises() -> None:
    """What it sent before is there; then comes how it ended."""
    found = isolated(die, CPU)
    assert next(found) == 1
    with pytest.raises(Ended, match="exited with status 3"):
        next(found)
    found = isolated(fail, CPU)
    assert next(found) == "before"
    with pytest.raises(RuntimeError, match="Local: why"):
        next(found)
    with pytest.raises(TimeoutError, match=r"timed out after 0\.2 s"):
        next(isolated(sleep, CPU, timeout_s=0.2))


def convolve(make: Callable[[], nn.Module], dtype: torch.dtype, send: Send) -> None:
    """Estimate and measure one convolution."""
    torch.set_num_threads(1)
    give_back()
    load_libraries(CPU)
    layer = make().to(dtype)
    x = torch.randn(2, getattr(layer, "in_channels", 4), 512, 512).to(dtype)
    own = sum(tensor.nbytes for tensor in [x, *layer.parameters()])
    send(inference_peak(layer, partial(layer, x), [x]) - own)  # with it come the libraries
    meter = Meter(CPU)
    with torch.inference_mode():
        layer(x)
    send(meter.peak())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "make",
    [
        partial(nn.Conv2d, 4, 4, 3, padding=1),
        partial(nn.Conv2d, 4, 24, 3, padding=1),
        partial(nn.Conv2d, 4, 32, 2, stride=2, groups=2),
        partial(nn.Conv2d, 4, 4, 3, padding=1, groups=4),
        partial(nn.Conv2d, 4, 48, 1),
        partial(nn.Conv2d, 1, 8, 3, padding=1),
    ],
)
def test_a_convolution_s_own_copies_are_foreseen(make: Any, dtype: torch.dtype) -> None:
    """In each type: blocks of channels, or windows of the input, as this CPU computes it."""
    told, found = isolated(partial(convolve, make, dtype), CPU)
    assert found == pytest.approx(told, rel=0.1, abs=6 * MIB)


def keep_freed_blocks(act: Callable[[Send], None], send: Send) -> None:
    """Act in a process that allocated and freed a lot before, as a notebook has."""
    torch.set_num_threads(1)  # the process that this one is forked of may have computed
    block = torch.ones(30 * MIB // 4)
    del block  # and glibc holds blocks of this size for its own from now on
    blocks = [torch.ones(5 * MIB // 4) for _ in range(40)]
    pinned = [bytearray(5000) for _ in range(1000)]  # so that the end of the heap stays taken
    del blocks
    act(send)
    assert len(pinned) == 1000


def test_freed_blocks_of_before_hide_nothing() -> None:
    """What is allocated where others were freed counts too."""
    layer = partial(nn.Conv2d, 4, 24, 3, padding=1)
    act = partial(keep_freed_blocks, partial(convolve, layer, torch.float32))
    told, found = isolated(act, CPU, timeout_s=60)
    assert found == pytest.approx(told, rel=0.1, abs=6 * MIB)


def test_live_tensors_are_counted_once() -> None:
    """Views and results written in place take nothing; what nobody refers to has gone."""
    x = torch.ones(1000)
    live = Live()
    live.add(x)
    with live:
        y = x * 2
        y.add_(1)
        view = y[:10]
        assert live.now == 8000
        del y
        assert live.now == 8000  # the view keeps it
        del view
        assert live.now == 4000
    assert live.most == 8000


def test_saved_tensors_are_those_of_the_backward_pass() -> None:
    """By the layer that saved them; weights and what is saved twice do not count again."""
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    x = torch.ones(3, 10)
    saved = Saved(model.parameters())
    with saved.watching(model):
        model(x)
    assert dict(saved.by_module) == {"0": 3 * 10 * 4, "1": 3 * 20 * 4}
    assert saved.total == 3 * 30 * 4


def test_the_peak_of_an_inference() -> None:
    """Weights, input, and the two activations that are there at a time."""
    model = nn.Sequential(nn.Linear(100, 200, bias=False), nn.ReLU(), nn.Linear(200, 5, bias=False))
    x = torch.ones(3, 100)
    call: Callable[[], Any] = partial(model, x)
    weights = (100 * 200 + 200 * 5) * 4
    assert inference_peak(model, call, [x]) == weights + 3 * (100 + 200 + 200) * 4
