"""A checkpoint needs no YAML: what it is follows from its own configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import bert, image_processor, save, tokenizer
from conftest import Command
from test_workload import workload

FIRST = ("test.benchmark.min_s=0.1", "test.benchmark.warmup_s=0", "test.benchmark.min_samples=2")
OWN_CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel


class OwnConfig(PretrainedConfig):
    model_type = "own"


class OwnForImageClassification(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.head = torch.nn.Linear(3, 5)
        self.post_init()

    def forward(self, pixel_values):
        return {"logits": self.head(pixel_values.mean((2, 3)))}
"""


def described(folder: Path, *words: str) -> Any:
    """Make the workload of a checkpoint."""
    return workload("model=huggingface", f"model.checkpoint={folder}", *words)


TEXT_AND_IMAGE = ["pixel_values", "input_ids"]
LANGUAGE, ENCODES = ["prefill", "decode", "generate"], ["forward", "image_encode", "text_encode"]
DIFFUSES = ["text_encode", "denoise_step", "vae_decode", "generate"]
# Axes beside the batch, inputs, phases, loss.
KINDS: dict[str, tuple[dict[str, int], list[str], list[str], str]] = {
    "gpt2": ({"sequence_length": 8}, ["input_ids"], LANGUAGE, "next_token"),
    "llama": ({"sequence_length": 32}, ["input_ids"], LANGUAGE, "next_token"),
    "bert": ({"sequence_length": 128}, ["input_ids"], ["forward"], "same_token"),
    "roberta": ({"sequence_length": 32}, ["input_ids"], ["forward"], "mean_square"),
    "vit": ({"image_size": 32}, ["pixel_values"], ["forward"], "classes"),
    "resnet": ({"image_size": 224}, ["pixel_values"], ["forward"], "classes"),
    "clip": ({"image_size": 32, "sequence_length": 77}, TEXT_AND_IMAGE, ENCODES, "contrastive"),
    "siglip": ({"image_size": 32, "sequence_length": 64}, TEXT_AND_IMAGE, ENCODES, "contrastive"),
    "unconditional": ({"image_size": 16}, ["sample", "timestep"], ["forward"], "mean_square"),
    "class_conditional": (
        {"image_size": 16}, ["sample", "timestep", "class_labels"], ["forward"], "mean_square"
    ),
    "stable_diffusion": (
        {"image_size": 16, "sequence_length": 77}, [*TEXT_AND_IMAGE, "noise", "timesteps"],
        DIFFUSES, "denoising",
    ),
}  # fmt: skip


ALIKE = {
    "clip",
    "llama",
    "roberta",
    "resnet",
    "siglip",
    "unconditional",
    "class_conditional",
    "gpt2",
    "stable_diffusion",
}
"""Kinds that take the same way through our code as another one, or as the model of that name; of
texts with images, and of causal language models, both take long."""


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[pytest.mark.slow] if k in ALIKE else []) for k in KINDS]
)
def test_each_kind(name: str, tmp_path: Path, command: Command) -> None:
    """Class, axes, inputs, phases and loss are right, and it is measured."""
    axes, inputs, phases, loss = KINDS[name]
    folder = save(name, tmp_path)
    stages = "test=[structure,benchmark]"
    done = command("model=huggingface", f"model.checkpoint={folder}", stages, *FIRST)
    assert (done.status, done.err) == (0, "")
    assert done.results["model"] == name
    assert done.results["axes"] == {"batch_size": 1, **axes}
    model = done.results["config"]["model"]
    assert list(model["inputs"]) == inputs
    series = done.results["stages"]["benchmark"]["series"]
    assert {part.split("/")[1] for part in series} == set(phases)
    target = (model["loss"] or {"_target_": "modelbench.losses.mean_square"})["_target_"]
    assert target == f"modelbench.losses.{loss}"
    found = described(folder)
    with torch.no_grad():
        outputs = found.batch().call(found.build())
    assert torch.isfinite(found.loss(outputs, found.batch()))


@pytest.mark.parametrize("name", ["gpt2", "unconditional", "stable_diffusion"])
def test_random_weights_need_the_configuration_only(name: str, tmp_path: Path) -> None:
    """The same architecture, with other weights."""
    folder = save(name, tmp_path)
    trained = described(folder).build()
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    fresh = described(folder, "model.weights=random", "seed=1").build()
    assert type(fresh) is type(trained)
    mine, theirs = fresh.state_dict(), trained.state_dict()
    assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items()}
    assert not all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_half_precision_weights_run_in_the_precision_asked_for(tmp_path: Path) -> None:
    """A checkpoint in FP16 is measured in FP32 under the label fp32."""
    model = described(save("llama", tmp_path)).build()
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_tokenizer_is_used(tmp_path: Path) -> None:
    """The text is repeated to the length, special tokens at its ends; each sample differs."""
    folder = save("bert", tmp_path)
    made = tokenizer()
    made.save_pretrained(folder)
    found = described(folder, "batch_size=2", "sequence_length=12", "text=the fox")
    tokens = found.batch().kwargs["input_ids"]
    assert tokens.shape == (2, 12)
    assert (
        tokens[0].tolist()
        == made(" ".join(["the fox"] * 9), truncation=True, max_length=12)["input_ids"]
    )
    assert not torch.equal(tokens[0], tokens[1])
    assert found.notes() == ["input_ids: text tokenized by the checkpoint's tokenizer"]


def test_a_prompt_is_padded(tmp_path: Path) -> None:
    """As the text encoders of CLIP and Stable Diffusion were trained."""
    folder = save("stable_diffusion", tmp_path)
    tokens = described(folder, "text=the fox").batch().kwargs["input_ids"]
    made = tokenizer()
    padded = made(["the fox"], padding="max_length", max_length=77)["input_ids"]
    assert tokens.tolist() == padded


def test_the_image_processor_is_used(tmp_path: Path) -> None:
    """Its mean and deviation, at the size asked for."""
    folder = save("resnet", tmp_path)
    plain = described(folder, "image_size=40").batch().kwargs["pixel_values"]
    image_processor().save_pretrained(folder)
    found = described(folder, "image_size=40")
    torch.testing.assert_close(found.batch().kwargs["pixel_values"], (plain - 0.2) / 0.4)
    assert found.notes() == ["pixel_values: normalised by the checkpoint's image processor"]


def test_what_is_given_wins(tmp_path: Path) -> None:
    """Over what the checkpoint says."""
    folder = save("gpt2", tmp_path)
    found = described(folder, "model.name=mine", "model.new_tokens=3", "+model.axes.batch_size=2")
    assert found.name == "mine"
    assert found.axes["batch_size"] == 2
    assert found.prepare["generate"].keywords["new_tokens"] == 3


@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification"])
def test_encoders_with_a_head(head: str, tmp_path: Path) -> None:
    """A loss of classes, near ln(5) before any training."""
    bert(head).save_pretrained(tmp_path / "bert")
    found = described(tmp_path / "bert", "batch_size=4", "sequence_length=8")
    with torch.no_grad():
        loss = found.loss(found.batch().call(found.build()), found.batch())
    assert loss.item() == pytest.approx(1.609, rel=0.15)


def with_own_code(folder: Path, ran: Path) -> Path:
    """Save a checkpoint that brings its class, which leaves a trace when it is imported."""
    folder.mkdir()
    code = f"from pathlib import Path\nPath({str(ran)!r}).touch()\n{OWN_CODE}"
    (folder / "modeling_own.py").write_text(code)
    autos = {
        "AutoConfig": "modeling_own.OwnConfig",
        "AutoModelForImageClassification": "modeling_own.OwnForImageClassification",
    }
    config = {
        "architectures": ["OwnForImageClassification"], "auto_map": autos, "model_type": "own",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_code_of_a_checkpoint_runs_only_when_asked_for(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, and never before."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    ran = tmp_path / "ran"
    folder = with_own_code(tmp_path / "own", ran)
    words = ["model=huggingface", f"model.checkpoint={folder}", "model.weights=random"]
    done = command("test=structure", *words)
    assert done.status == 1
    assert "needs its own code (modeling_own.py)" in done.err
    assert "model.trust_remote_code=true" in done.err
    assert not ran.exists()
    done = command("test=structure", *words, "model.trust_remote_code=true")
    assert (done.status, done.err) == (0, "")
    assert ran.exists()
    assert done.results["stages"]["structure"]["metrics"]["structure/params"]["value"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "bert", "vit", "clip", "unconditional", "t5"])
def test_every_stage_on_each_kind(name: str, tmp_path: Path, command: Command) -> None:
    """What trains, takes other sizes and holds memory does so for all of them."""
    done = command("model=huggingface", f"model.checkpoint={save(name, tmp_path)}", *FIRST)
    assert (done.status, done.err) == (0, "")


def test_a_kind_that_is_not_understood(tmp_path: Path, command: Command) -> None:
    """Says so, and shows a YAML with its own arguments, which works once it is completed."""
    folder = save("decisions", tmp_path)
    done = command("model=huggingface", f"model.checkpoint={folder}")
    assert done.status == 1
    assert "a DecisionTransformerModel of transformers" in done.err
    assert "optional: actions, rewards, returns_to_go, timesteps, attention_mask" in done.err
    shown = done.err.partition("model=mine\n")[2].replace("[batch_size, N]", "[batch_size, 4, 3]")
    for name, width in (("actions", 2), ("rewards", 1), ("returns_to_go", 1)):
        shape = f"[batch_size, 4, {width}]"
        shown += f"        {name}: {{_target_: modelbench.inputs.Noise, shape: {shape}}}\n"
    for name in ("timesteps", "attention_mask"):
        shown += f"        {name}: {{_target_: modelbench.inputs.Full, shape: [batch_size, 4]}}\n"
    own = tmp_path / "my_configs" / "model" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(shown)
    done = command("--config-dir", str(tmp_path / "my_configs"), "model=mine", "test=structure")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json; expected a folder written"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "is not a JSON object"),
        (lambda f: (f / "config.json").write_text("{}"), "names no architectures"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "is corrupt or truncated"),
        (lambda f: (f / "model.safetensors").unlink(), "has no .safetensors file"),
    ],
    ids=["no config", "cut config", "list", "empty", "damaged", "no weights"],
)
def test_what_is_wrong_with_a_checkpoint(
    spoil: Any, message: str, tmp_path: Path, command: Command
) -> None:
    """One clear line."""
    folder = save("gpt2", tmp_path)
    spoil(folder)
    done = command("model=huggingface", f"model.checkpoint={folder}", "test=structure")
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "model.checkpoint: missing; expected a folder"),
        (["model.checkpoint=/no/such"], "/no/such: no such folder"),
        (["model.checkpoint=no-such-owner/model"], "run 'hf download no-such-owner/model'"),
    ],
    ids=["none", "folder", "hub"],
)
def test_a_checkpoint_that_is_not_there(words: list[str], message: str, command: Command) -> None:
    """What was looked for, and how to get it."""
    done = command("model=huggingface", "test=structure", *words)
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_pipeline_with_damaged_weights(tmp_path: Path, command: Command) -> None:
    """The part is named."""
    folder = save("stable_diffusion", tmp_path)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"x" * 99)
    done = command("model=huggingface", f"model.checkpoint={folder}", "test=structure")
    assert done.status == 1
    assert "unet/diffusion_pytorch_model.safetensors is corrupt" in done.err.replace("\\", "/")
