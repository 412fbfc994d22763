"""What Python code measures is what the command line measures, and leaves its caller alone."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import modelbench
from modelbench.config.error import ConfigurationError
from modelbench.execution.api.live import Live
from modelbench.inputs import Image
from modelbench.inputs.draw import Draw
from modelbench.inputs.given import Given
from modelbench.models.unet import UNet

QUICK = ["test.benchmark.min_s=0.05", "test.benchmark.warmup_s=0", "test.benchmark.budget_s=0.5",
         "test.benchmark.batch_sizes=[1,2]", "test.benchmark.processes=1",
         "test.benchmark.control=false"]  # fmt: skip


class Net(nn.Module):
    """A small one, of this file."""

    def __init__(self, how: str = "") -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 10)
        self.how = how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Take `[b, 3, s, s]`."""
        if self.how == "dies" and type(images) is torch.Tensor:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "sleeps":
            sleep(0.2)
        result: torch.Tensor = self.head(self.conv(images).relu().mean((2, 3)))
        return result


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


IMAGES = torch.randn(2, 3, 16, 16)


def test_a_module_in_hand() -> None:
    """Its own weights, its sizes from the input's shape, and the results by name."""
    net = Net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    results = modelbench.measure(net, IMAGES, test=["structure", "benchmark"], overrides=QUICK)
    assert results.status == "passed", results.reason
    assert results["structure/params"] == 4 * 27 + 4 + 50
    assert results["structure/macs_g"] == pytest.approx(2 * (16 * 16 * 4 * 27 + 40) / 1e9)
    assert results["benchmark/forward/p50_ms"] > 0
    assert results.to_dict()["axes"] == {"batch_size": 2, "image_size": 16}
    assert [stage.status for stage in results.stages.values()] == ["passed", "passed"]
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    table = results.to_pandas()
    assert table.loc["structure/params", "unit"] == "count"
    assert (results.folder / "report.html").is_file()
    assert "structure passed" in repr(results)
    page = results._repr_html_()
    assert "median latency, forward" in page and "<img" in page
    saved = results.save("kept")
    assert (saved / "results.json").is_file()
    same = results.compare(results)
    assert (same.to_pandas()["verdict"] == "SAME").all()
    assert same.status == 0
    assert "no regression" in repr(same)
    assert "structure/params" in same._repr_html_()
    with pytest.raises(KeyError, match="did you mean structure/params"):
        results["structure/parms"]


def test_what_makes_a_module_and_a_name() -> None:
    """A class that can be imported needs no file; a YAML's name is the command line's."""
    images = torch.randn(1, 3, 32, 32)
    results = modelbench.measure(UNet, images, test="structure")
    assert results["structure/params"] == 31_043_521
    assert "modelbench.models.unet.UNet" in Path(
        results.folder, "module/model/given_UNet.yaml"
    ).read_text(encoding="utf-8")
    made = modelbench.measure(partial(Net, ""), {"images": IMAGES}, test="structure")
    assert made["structure/params"] == 162
    named = modelbench.measure("cnn", test="structure", overrides=["image_size=16"])
    assert named["structure/params"] == 94_538
    mixed = modelbench.measure(Net(), {"images": Image(3)}, test="structure")
    assert mixed.to_dict()["axes"]["image_size"] == 224


def test_every_stage_takes_a_module_in_hand() -> None:
    """Also those that train, convert and resize it, by the loss that is given."""

    def loss(outputs: Any, batch: Any) -> torch.Tensor:
        found: torch.Tensor = (outputs - 1).square().mean()
        return found

    overrides = [*QUICK, "test.quantization.schemes=[bf16]", "test.quantization.budget_s=0.1",
                 "test.dynamic.export=false", "test.algorithm.steps=10",
                 "test.algorithm.min_drop=0.001", "test.dynamic.point_s=0.01"]  # fmt: skip
    stages = ["algorithm", "quantization", "dynamic", "memory", "visualization"]
    results = modelbench.measure(Net(), IMAGES, test=stages, loss=loss, overrides=overrides)
    assert results.status == "passed", results.reason
    assert results["algorithm/loss_drop"] > 0
    assert results["quantization/bf16/sqnr_db"] > 20
    assert "weights=random" not in json.dumps(results.to_dict())
    assert results["dynamic/passed"] >= 4


def test_nothing_of_the_caller_changes() -> None:
    """Seeds, threads, types, modes, signals, start method, environment."""
    torch.manual_seed(3)
    random.seed(3)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", "inductor")  # torch sets it when imported
    np.random.seed(3)

    def seen() -> list[Any]:
        return [
            torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()),
            torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            multiprocessing.get_start_method(allow_none=True), dict(os.environ), sys.argv,
        ]  # fmt: skip

    before = seen()
    modelbench.measure(Net(), IMAGES, test="structure")
    modelbench.summary(Net(), IMAGES)
    torch.manual_seed(3)  # Net() itself draws its weights
    after = seen()
    changed = {k for k in before[8].keys() | after[8].keys() if before[8].get(k) != after[8].get(k)}
    assert not changed
    assert after == before


def test_a_stage_that_dies_leaves_the_caller_alive() -> None:
    """With the reasons of the command line."""
    results = modelbench.measure(Net("dies"), IMAGES, test=["structure", "memory"])
    assert results.status == "failed"
    assert "killed by signal 9 (SIGKILL)" in str(results.stages["structure"].reason)
    assert "structure: " in str(results.reason)
    with pytest.raises(KeyError, match="structure failed: killed by signal 9"):
        results["structure/params"]


def test_what_cannot_be_pickled_is_measured_here() -> None:
    """With that note; what would change the module is left out, where it cannot be copied."""
    net = Net("sleeps")
    net.lock = threading.Lock()  # type: ignore[assignment]
    results = modelbench.measure(net, IMAGES, test=["structure", "algorithm"])
    assert results["structure/params"] == 162
    notes = results.stages["structure"].details["notes"]
    assert any("measured in this process" in note and "lock" in note for note in notes)
    assert results.to_dict()["stages"]["structure"]["seconds"] > 0.2
    assert results.stages["algorithm"].status == "skipped"


def test_a_thread_and_an_event_loop() -> None:
    """Neither signals nor loops are in the way."""
    found: list[float] = []

    def act() -> None:
        found.append(modelbench.measure(Net(), IMAGES, test="structure")["structure/params"])

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()

    async def within() -> None:
        act()

    asyncio.run(within())
    assert found == [162, 162]


def test_a_script_without_a_guard(tmp_path: Path) -> None:
    """Is not run again by its workers, and its own classes go to them."""
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\nimport modelbench\nprint('once')\n"
        "class Mine(torch.nn.Linear):\n    pass\n"
        "results = modelbench.measure(Mine(4, 2), torch.randn(3, 4), test='structure')\n"
        "print(results['structure/params'], results.status)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["once", "10.0", "passed"] or done.stdout.split() == [
        "once", "10", "passed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "overrides", "said"),
    [
        ("text", [], "expected a tensor, a tuple of tensors, or a mapping"),
        (None, [], "expected a tensor, a tuple of tensors, or a mapping"),
        ({"images": 3}, [], "inputs.images: found int, expected a tensor or a source"),
        (IMAGES, ["test.benchmark.bugdet_s=3"], "bugdet_s: unknown key"),
        (IMAGES, ["precision=fp33"], "precision=fp33"),
    ],
)
def test_a_wrong_call(inputs: Any, overrides: list[str], said: str) -> None:
    """One error that says what was expected."""
    with pytest.raises(ConfigurationError, match=said):
        modelbench.measure(Net(), inputs, test="benchmark", overrides=overrides)


def test_inputs_that_do_not_fit() -> None:
    """What forward takes is shown."""
    results = modelbench.measure(Net(), {"picture": IMAGES}, test="structure")
    assert "gives picture, but Net.forward takes (images: " in str(results.reason)
    with pytest.raises(RuntimeError, match=r"Net.forward takes \(images.*was given \[2, 5\]"):
        modelbench.summary(Net(), torch.randn(2, 5))


def test_a_summary() -> None:
    """Exact MACs, shapes and parameters, of modules called twice as well; nothing changes."""
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2))).train()
    found = modelbench.summary(net, torch.randn(8, 4))
    assert (found.params, found.macs) == (30, 8 * 16 + 8 * 8)
    table = found.to_pandas().set_index("layer")
    assert table.loc["0", "macs"] == 128
    assert table.loc["2.0", "outputs"] == "8x2"
    assert table.loc["0", "activations_mib"] == pytest.approx(8 * 4 * 4 / 2**20)
    assert "30 parameters" in repr(found) and "Sequential" in repr(found)
    assert "<td>Linear</td>" in found._repr_html_().replace("  ", "")
    assert net.training
    shallow = modelbench.summary(net, torch.randn(8, 4), depth=1, columns=["layer", "calls"])
    assert "2.0" not in repr(shallow)
    assert len(shallow.to_pandas()) == len(table)
    with pytest.raises(ValueError, match="expected some of layer, class"):
        modelbench.summary(net, torch.randn(8, 4), columns=["flops"])
    with pytest.raises(TypeError, match="found str, expected a tensor"):
        modelbench.summary(net, "x")


@pytest.mark.timing
def test_blocks_and_calls_are_timed() -> None:
    """A block as often as it runs; two calls interleaved, with a verdict."""
    with modelbench.timed("sums") as found:
        sum(range(1000))
    assert found.median_ms > 0
    assert "sums: " in repr(found) and "once" in repr(found)

    @modelbench.timed("calls")
    def act() -> int:
        return 3

    assert [act() for _ in range(10)] == [3] * 10
    assert "not run yet" in repr(modelbench.timed("never"))
    small, large = torch.randn(64, 64), torch.randn(512, 512)
    compared = modelbench.compare_calls(lambda: small @ small, lambda: large @ large, budget_s=0.5)
    assert compared.verdict == "slower"
    assert compared.ratio > 2
    assert "second is slower" in repr(compared)


def test_tensors_at_other_sizes(tmp_path: Path) -> None:
    """Repeated, cut or resized; another content for calibration and other seeds."""
    image, text = torch.rand(2, 3, 16, 16), torch.arange(10).reshape(2, 5)
    torch.save({"image": image, "text": text}, tmp_path / "in.pt")
    place = {"batch_size": [0], "image_size": [2, 3]}
    source = Given(str(tmp_path / "in.pt"), "image", place)
    assert torch.equal(source(Draw({"batch_size": 2, "image_size": 16})), image)
    assert source(Draw({"batch_size": 5, "image_size": 8})).shape == (5, 3, 8, 8)
    assert not torch.equal(source(Draw({"batch_size": 2, "image_size": 16}, seed=1)), image)
    words = Given(str(tmp_path / "in.pt"), "text", {"batch_size": [0], "sequence_length": [1]})
    longer = words(Draw({"batch_size": 1, "sequence_length": 7}))
    assert longer.tolist() == [[0, 1, 2, 3, 4, 0, 1]]
    calibrated = words(Draw({"batch_size": 2, "sequence_length": 5}, calibration=0))
    assert sorted(calibrated[0].tolist()) == [0, 1, 2, 3, 4]
    assert calibrated[0].tolist() != [0, 1, 2, 3, 4]
    assert Live.name_of(Net()) == "Net"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_page_on_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of its blocks, one after the other."""
    page = Path(modelbench.__file__).parent.parent / "docs" / "python.md"
    blocks = page.read_text(encoding="utf-8").split("```python\n")[1:]
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block.partition("```")[0], names)
    said = capsys.readouterr().out
    assert "passed" in said and "UNet" in said and "loading: " in said and "ratio" in said


class Tied(nn.Module):
    """Two layers that share their weight, and a function without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 16), nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight
        self.act: Callable[[torch.Tensor], torch.Tensor] = lambda x: x * 2

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Take `[b, t]`."""
        result: torch.Tensor = self.head(self.act(self.embed(ids)))
        return result


def cnn() -> nn.Module:
    """Make what is called as one of our YAMLs is."""
    return nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("module", "inputs", "params"),
    [
        (Tied(), torch.randint(0, 50, (2, 9)), 800),
        (nn.LSTM(8, 16, batch_first=True), torch.randn(2, 5, 8), 1664),
        (nn.Linear(4, 4).double(), torch.randn(3, 4).double(), 20),
        (nn.Linear(4, 4).bfloat16(), torch.randn(3, 4).bfloat16(), 20),
        (nn.Sequential(nn.LazyLinear(8)), torch.randn(3, 4), 40),
        ("scripted", torch.randn(3, 4), 20),
        ("compiled", torch.randn(3, 4), 20),
        (cnn, torch.randn(3, 4), 10),
        (nn.Identity(), torch.tensor(3.0), 0),
    ],
    ids=["tied", "tuple", "double", "bf16", "lazy", "script", "compiled", "a name of ours", "one"],
)
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_modules_that_others_bring(module: Any, inputs: torch.Tensor, params: int) -> None:
    """Pickled or scripted, in types and shapes of their own."""
    made: dict[str, Any] = {"scripted": torch.jit.script, "compiled": torch.compile}
    if isinstance(module, str):
        module = made[module](nn.Linear(4, 4))
    overrides = [*QUICK, "test.benchmark.batch_sizes=[]"]
    results = modelbench.measure(module, inputs, test=["structure", "benchmark"],
                                 overrides=overrides)  # fmt: skip
    assert results.status == "passed", results.reason
    assert results["structure/params"] == params


def test_a_bound_method_and_a_view_go_whole(tmp_path: Path) -> None:
    """The method with its object; of a slice only what is seen."""

    class Factory:
        def __init__(self, width: int) -> None:
            self.width = width

        def make(self) -> nn.Module:
            return nn.Linear(4, self.width)

    many = torch.randn(1_000_000, 4)
    results = modelbench.measure(Factory(3).make, many[:2], test="structure", folder=tmp_path / "j")
    assert results["structure/params"] == 15
    assert (tmp_path / "j" / "module" / "inputs.pt").stat().st_size < 10_000


def test_what_is_measured_here_stays_as_it_was() -> None:
    """Neither converted nor forked; its reason says so."""
    net = Net()
    net.lock = threading.Lock()  # type: ignore[assignment]
    results = modelbench.measure(
        net, IMAGES, test=["structure", "benchmark", "memory"], precision="bf16", overrides=QUICK
    )
    assert net.head.weight.dtype is torch.float32
    said = {name: stage.reason for name, stage in results.stages.items()}
    assert "would change the module" in str(said["benchmark"])
    assert "needs a process of its own" in str(said["memory"])


def test_a_caller_that_is_a_hydra_application(tmp_path: Path) -> None:
    """Composes as before."""
    from hydra import compose, initialize_config_dir

    (tmp_path / "own.yaml").write_text("a: 3\n", encoding="utf-8")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        modelbench.measure(Net(), IMAGES, test="structure")
        assert compose("own").a == 3


class Caches(nn.Module):
    """Keeps what it has computed for the next call."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.kept: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take `[b, 4]`."""
        if self.kept is None:
            self.kept = torch.ones(4) * 2
        result: torch.Tensor = self.linear(x * self.kept)
        return result


def test_a_module_that_keeps_tensors_can_be_trained_after_a_summary() -> None:
    """What it keeps was not made in inference mode; nor are random numbers used up."""
    net, x = Caches(), torch.randn(2, 4)
    before = torch.get_rng_state()
    modelbench.summary(nn.Sequential(net, nn.Dropout(0.5)), x)
    assert torch.equal(torch.get_rng_state(), before)
    net(x.requires_grad_()).sum().backward()
    assert net.linear.weight.grad is not None
