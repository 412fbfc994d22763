"""Models of torchvision and timm need no YAML: their names are enough."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import subprocess
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from test_workload import workload
from torch import Tensor, nn

from modelbench.config.checkpoint import fetch
from modelbench.inputs import Draw
from modelbench.inputs.batch import Batch
from modelbench.inputs.pan import Frame, Video
from modelbench.models.builders import catalogue
from modelbench.models.builders.detector import Detector, detection
from modelbench.models.builders.optical_flow import pan
from modelbench.models.builders.timm import describe as describe_timm
from modelbench.models.builders.torchvision import describe as describe_torchvision

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None,
    reason='torchvision is not installed; pip install -e ".[torchvision]"',
)
needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None,
    reason='timm is not installed; pip install -e ".[timm]"',
)
TORCHVISION: dict[str, Any] = {
    "resnet9": {"kind": "classification", "size": 200, "mean": [0.1] * 3, "std": [0.2] * 3,
                "takes": ["weights", "progress"], "built_for": None,
                "url": "https://example.org/models/resnet9-0123abcd.pth"},
    "vit_b_9": {"kind": "classification", "size": 518, "mean": [0.1] * 3, "std": [0.2] * 3,
                "takes": [], "built_for": {"image_size": 518}, "url": None},
    "fcn9": {"kind": "segmentation", "size": 520, "mean": None, "std": None, "url": None,
             "takes": ["aux_loss", "weights_backbone"], "built_for": None},
    "quantized_resnet9": {"kind": "quantization"},
    "point9": {"kind": "point_clouds"},
}  # fmt: skip
TIMM: dict[str, Any] = {
    "vit9": {"shape": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3, "fixed": True,
             "classes": 1000, "hub": "timm/vit9.in1k"},
    "encoder9": {"shape": [1, 64, 32], "mean": [0.5], "std": [0.5], "fixed": False,
                 "classes": 0, "hub": None},
}  # fmt: skip


class Listed:
    """A library that is asked for its names, and how often it was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.asked: list[str] = []
        (folder / "models").mkdir(parents=True)
        origin = type("Spec", (), {"origin": str(folder / "__init__.py")})
        monkeypatch.setattr(catalogue, "cache_folder", lambda: folder / "cache")
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: origin)
        monkeypatch.setattr(importlib.metadata, "version", lambda _: "9.9")
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, command: list[str], **_: Any) -> Any:
        self.asked.append(command[-1])
        names = {"torchvision": TORCHVISION, "timm": TIMM}[command[-1]]
        return subprocess.CompletedProcess(command, 0, json.dumps(names), "")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Listed:
    """Let both libraries be installed, with a few names."""
    return Listed(monkeypatch, tmp_path / "library")


def test_the_size_and_the_normalisation_are_those_of_the_weights(listed: Listed) -> None:
    """The library is asked once, in a process of its own."""
    keys = describe_torchvision("resnet9", "random", None, {})
    assert keys["axes"] == {"batch_size": 1, "image_size": 200}
    image = {"_target_": "modelbench.inputs.Image", "channels": 3}
    assert keys["inputs"] == {"0": image | {"mean": [0.1] * 3, "std": [0.2] * 3}}
    assert keys["build"]["weights"] is None
    assert keys["loss"] == {"_target_": "modelbench.losses.classes"}
    keys = describe_torchvision("vit_b_9", "random", None, {})
    assert keys["limits"] == {"image_size": {"min": 518, "max": 518}}
    assert keys["build"]["image_size"] == 518
    keys = describe_torchvision("vit_b_9", "random", None, {"image_size": 64})
    assert (keys["axes"]["image_size"], keys["build"]["image_size"]) == (64, 64)
    keys = describe_torchvision("fcn9", "random", None, {"num_classes": 3})
    assert (keys["build"]["aux_loss"], keys["build"]["weights_backbone"]) == (True, None)
    assert keys["build"]["num_classes"] == 3
    assert listed.asked == ["torchvision"]


def test_the_input_of_a_timm_model_follows_from_its_weights(listed: Listed) -> None:
    """Also of one that is not square, and of one without classes."""
    keys = describe_timm("vit9", "random", None, {"in_chans": 1, "img_size": 96})
    assert keys["limits"] == {"image_size": {"min": 96, "max": 96}}
    assert keys["inputs"]["0"]["channels"] == 1
    assert keys["inputs"]["0"]["mean"] == [0.5]
    keys = describe_timm("encoder9", "random", None, {})
    assert keys["inputs"]["0"]["shape"] == ["batch_size", 1, 64, 32]
    assert keys["axes"] == {"batch_size": 1}
    assert "loss" not in keys
    assert describe_timm("vit9", "pretrained", None, {})["checkpoint"] == "timm/vit9.in1k"


@pytest.mark.parametrize(
    ("arch", "weights", "checkpoint", "message"),
    [
        (None, "random", None, "model.arch: missing; expected a torchvision model, such as"),
        ("resnet8", "random", None, "unknown to torchvision 9.9; did you mean resnet9 or "),
        ("xyz", "random", None, "expected a name such as resnet50"),
        ("quantized_resnet9", "random", None, "expected model.arch=resnet9, with precision=int8"),
        ("point9", "random", None, r"an unknown kind of model \(point_clouds\)"),
        ("vit_b_9", "pretrained", None, "torchvision has no pretrained weights for it"),
        ("resnet9", "random", "x.pt", "model.weights=random loads none"),
        ("resnet9", "pretrained", "x.pt", "x.pt: no such file"),
        ("resnet9", "pretrained", ".", "is a folder; expected a state dict file"),
    ],
)
@pytest.mark.usefixtures("listed")
def test_what_is_wrong_is_said(
    arch: str | None, weights: str, checkpoint: str | None, message: str
) -> None:
    """In one line, with what was expected."""
    with pytest.raises(ValueError, match=message) as raised:
        describe_torchvision(arch, weights, checkpoint, {})
    assert "\n" not in str(raised.value)


def test_a_name_that_is_new_is_asked_for_again(listed: Listed, tmp_path: Path) -> None:
    """Where the library's sources changed after it was asked, and only there."""
    for _ in range(2):
        with pytest.raises(ValueError, match="unknown to torchvision"):
            describe_torchvision("resnet7", "random", None, {})
    assert len(listed.asked) == 1
    source = tmp_path / "library" / "models" / "resnet7.py"
    source.write_text("")
    (file,) = (tmp_path / "library" / "cache").glob("*.json")
    later = file.stat().st_mtime + 10
    os.utime(source, (later, later))
    with pytest.raises(ValueError, match="unknown to torchvision"):
        describe_torchvision("resnet7", "random", None, {})
    assert len(listed.asked) == 2


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_not_installed(
    library: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """The extra is named."""
    find = importlib.util.find_spec
    missing = lambda name, *rest: None if name == library else find(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    done = command(f"model={library}", "model.arch=x", "test=structure")
    assert done.status == 1
    assert f'{library} is not installed; pip install -e ".[{library}]"' in done.err


CONTENT = b"weights"
ADDRESS = f"https://example.org/models/net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


def test_a_file_at_an_address_is_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into torch.hub's cache, whole or not at all."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    given: list[str] = []

    def opened(url: str, **_: Any) -> Any:
        given.append(url)
        found: Any = io.BytesIO(CONTENT if url == ADDRESS else b"cut")
        found.headers = Message()
        return found

    monkeypatch.setattr("urllib.request.urlopen", opened)
    for _ in range(2):
        assert Path(fetch(ADDRESS, weights=True)).read_bytes() == CONTENT
    assert given == [ADDRESS]
    other = "https://example.org/models/net-00000000.pth"
    with pytest.raises(LookupError, match=r"its SHA-256 is .*, expected 00000000"):
        fetch(other, weights=True)
    assert [file.name for file in tmp_path.rglob("*.pth")] == [ADDRESS.rpartition("/")[2]]


def test_without_a_network_it_is_said_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where to put it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*_: Any, **__: Any) -> Any:
        raise OSError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(LookupError, match=r"not in the cache .*; with network access, download"):
        fetch(ADDRESS, weights=True)


def test_frames_lie_a_pixel_apart() -> None:
    """Of a clip, and of two images of a flow."""
    draw = Draw({"batch_size": 2, "image_size": 24})
    clip = Video(frames=3)(draw)
    assert clip.shape == (2, 3, 3, 24, 24)
    assert torch.equal(clip[:, :, 0, :, 1:], clip[:, :, 1, :, :-1])
    assert not torch.equal(clip[:, :, 0], clip[:, :, 1])
    assert torch.equal(Frame(at=2)(draw), clip[:, :, 2])
    assert torch.equal(Video(frames=5)(draw)[:, :, :3], clip)


def test_the_flow_of_a_pan_is_known() -> None:
    """A model that finds it has no loss."""
    flow = torch.zeros(1, 2, 4, 4)
    flow[:, 0] = -4
    assert pan([flow], Batch((), {}), 4) < 1e-5
    assert pan([-flow], Batch((), {}), 4) == pytest.approx(8)


class Boxes(nn.Module):
    """Takes what torchvision's detectors take."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.ones(1))

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Return scores, or losses."""
        if targets is None:
            return [{"scores": self.score * len(images)} for _ in images]
        assert [list(t["boxes"].shape) for t in targets] == [[1, 4]] * len(images)
        assert targets[0]["masks"].shape == (1, *images[0].shape[1:])
        return {"one": self.score.sum(), "other": self.score.sum()}


def test_a_detector_is_called_with_a_list() -> None:
    """In training with something to be seen, and its losses are added up."""
    model, batch = Detector(Boxes()), Batch((torch.zeros(2, 3, 8, 8),), {})
    assert detection(batch.call(model), batch) == 2
    found = batch.call(model.eval())
    assert len(found) == 2
    assert detection(found, batch) == 4


KINDS = {
    "squeezenet1_1": ["image_size=64"],
    "vit_b_32": ["model.arguments.image_size=64"],
    "lraspp_mobilenet_v3_large": ["image_size=64"],
    "ssdlite320_mobilenet_v3_large": ["image_size=64"],
    "r3d_18": ["image_size=16", "model.inputs.0.frames=4"],
    "raft_small": ["image_size=128"],
}


@needs_torchvision
@pytest.mark.parametrize(
    "arch",
    [pytest.param(k, marks=[pytest.mark.slow] if k != "squeezenet1_1" else []) for k in KINDS],
)
def test_each_kind_of_torchvision_runs_and_trains(arch: str) -> None:
    """Its input is what its forward takes, and its loss is finite with a gradient."""
    made = workload("model=torchvision", f"model.arch={arch}", *KINDS[arch])
    model, batch = made.build(), made.batch()
    with torch.no_grad():
        batch.call(model)
    if arch == "raft_small":
        return
    batch = made.batch(batch_size=2)
    loss = made.loss(batch.call(model.train()), batch)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert any(p.grad is not None for p in model.parameters())


@needs_torchvision
def test_every_name_of_torchvision_is_described() -> None:
    """And those that are built otherwise with weights have as many parameters as these."""
    from torchvision.models import get_model_weights, list_models

    names = [name for name in list_models() if not name.startswith("quantized_")]
    assert len(names) > 100
    for name in names:
        keys = describe_torchvision(name, "random", None, {})
        assert keys["axes"]["image_size"] > 0
    for name in ("googlenet", "inception_v3", "lraspp_mobilenet_v3_large"):
        made = workload("model=torchvision", f"model.arch={name}").build()
        count = sum(p.numel() for p in made.parameters())
        assert count == get_model_weights(name).DEFAULT.meta["num_params"]


@needs_torchvision
def test_torchvisions_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Come from torch.hub's cache where they lie there."""
    from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    saved = squeezenet1_1()
    file = tmp_path / "hub" / "checkpoints" / SqueezeNet1_1_Weights.DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(saved.state_dict(), file)
    words = ["model=torchvision", "model.arch=squeezenet1_1", "model.weights=pretrained"]
    for more in ([], [f"model.checkpoint={file}"]):
        model = workload(*words, *more).build()
        state = model.state_dict()
        assert all(torch.equal(state[k], v) for k, v in saved.state_dict().items())


@needs_timm
@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "resnet10t.c3_in1k"])
def test_timm_models_run(arch: str, tmp_path: Path) -> None:
    """By a name, with or without the tag of its weights, and with weights of one's own."""
    from safetensors.torch import save_file

    words = ["model=timm", f"model.arch={arch}", "+model.arguments.num_classes=5"]
    made = workload(*words)
    model = made.build()
    with torch.no_grad():
        assert made.batch().call(model).shape == (1, 5)
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    words += ["model.weights=pretrained", f"model.checkpoint={tmp_path / 'own.safetensors'}"]
    again = workload(*words, "seed=1").build().state_dict()
    assert all(torch.equal(again[k], v) for k, v in model.state_dict().items())
