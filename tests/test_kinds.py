"""What a checkpoint of each kind takes, does and is trained to, told from its class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import save
from test_workload import composed

from modelbench.config.schema import axes as axes_of
from modelbench.execution.alternatives import has_alternatives, working_inputs
from modelbench.models.huggingface import describe
from modelbench.models.workload import Workload
from modelbench.results import Skip
from modelbench.stages.dynamic.trials import Session, same_padded

CPU = torch.device("cpu")
WRITES, READS = ["prefill", "decode", "generate"], ["encode", "decode", "generate"]
DIFFUSES = ["text_encode", "denoise_step", "vae_decode", "generate"]
# Axes beside the batch, inputs, phases, loss.
KINDS: dict[str, tuple[dict[str, int], list[str], list[str], str]] = {
    "t5": ({"sequence_length": 128}, ["input_ids", "decoder_input_ids"], READS, "next_token"),
    "whisper": ({"sequence_length": 32}, ["input_features", "decoder_input_ids"], READS,
                "next_token"),
    "wav2vec2": ({"audio_length": 16_000}, ["input_values"], ["forward"], "ctc"),
    "audio_classifier": ({}, ["input_values"], ["forward"], "classes"),
    "detector": ({"image_size": 32}, ["pixel_values"], ["forward"], "nothing_there"),
    "segmenter": ({"image_size": 224}, ["pixel_values"], ["forward"], "brightness"),
    "depth": ({"image_size": 224}, ["pixel_values"], ["forward"], "depth"),
    "video": ({"image_size": 32, "num_frames": 4}, ["pixel_values"], ["forward"], "classes"),
    "llava": ({"image_size": 32, "sequence_length": 128}, ["pixel_values", "input_ids"], WRITES,
              "next_token"),
    "qwen_vl": ({"image_size": 224, "sequence_length": 128},
                ["pixel_values", "image_grid_thw", "input_ids", "mm_token_type_ids"], WRITES,
                "next_token"),
    "forecaster": ({}, ["past_values"], ["forward"], "mean_square"),
    "mixtral": ({"sequence_length": 32}, ["input_ids"], WRITES, "next_token"),
    "dit": ({"image_size": 32}, ["noise"], DIFFUSES, "denoising"),
    "flux": ({"image_size": 128}, ["noise"], DIFFUSES, "denoising"),
}  # fmt: skip


def found(folder: Path, *words: str) -> tuple[Workload, dict[str, Any]]:
    """Make the workload of a checkpoint as a worker does, and give the model's section."""
    config = composed("model=huggingface", f"model.checkpoint={folder}", *words)
    told = working_inputs(config, axes_of(config), CPU) if has_alternatives(config) else {}
    model = {**config["model"], **told}
    return Workload.of({**config, "model": model}, axes_of(config), CPU), model


ALIKE = {"audio_classifier", "segmenter", "depth", "forecaster", "dit", "flux", "video"}
"""Kinds that take longer, or the same way through our code as another one."""


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[pytest.mark.slow] if k in ALIKE else []) for k in KINDS]
)
def test_each_kind_is_told_from_its_class(name: str, tmp_path: Path) -> None:
    """Axes, inputs, phases and loss are right, every phase runs, and the loss has a gradient."""
    axes, inputs, phases, loss = KINDS[name]
    workload, model = found(
        save(name, tmp_path), *(["model.steps=2"] if phases is DIFFUSES else [])
    )
    assert workload.axes == {"batch_size": 1, **axes}
    assert list(model["inputs"]) == inputs
    assert workload.phases == phases
    target = (model["loss"] or {"_target_": "modelbench.losses.mean_square"})["_target_"]
    assert target == f"modelbench.losses.{loss}"
    module, batch = workload.build(), workload.batch()
    for phase in phases:
        with torch.inference_mode():
            try:
                call = workload.phase(phase, module, batch)
            except Skip:
                assert (name, phase) == ("dit", "text_encode")
                continue
            call()
            call()
    value = workload.loss(batch.call(module), batch)
    assert value.requires_grad
    assert torch.isfinite(value)


def test_an_image_has_as_many_placeholders_as_the_model_has_features(tmp_path: Path) -> None:
    """16 patches of a LLaVA; of a Qwen-VL one for each square of 16 pixels, at any size."""
    workload, _ = found(save("llava", tmp_path))
    assert int((workload.batch().kwargs["input_ids"] == 299).sum()) == 16
    workload, _ = found(save("qwen_vl", tmp_path))
    for size in (224, 64):
        given = workload.batch(image_size=size).kwargs
        assert int((given["input_ids"] == 290).sum()) == (size // 16) ** 2
        assert torch.equal(given["mm_token_type_ids"], (given["input_ids"] == 290).long())


def test_an_image_that_cannot_be_given_is_left_out_with_the_reason(tmp_path: Path) -> None:
    """A LLaVA whose placeholder is no token of its vocabulary runs on text alone, and says so."""
    folder = save("llava", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["image_token_index"] = config["image_token_id"] = 5_000
    (folder / "config.json").write_text(json.dumps(config))
    workload, model = found(folder)
    assert list(model["inputs"]) == ["input_ids"]
    (note,) = [line for line in workload.notes() if "pixel_values: left out, since" in line]
    assert "IndexError" in note


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    """It gives tokens that the model does not have: that is said, and no index is out of range."""
    from checkpoints import tokenizer

    folder = save("bert", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 40}))
    tokenizer().save_pretrained(folder)
    workload, _ = found(folder, "model.weights=random")
    with pytest.raises(ValueError, match="vocabulary has 40: it belongs to another model"):
        workload.batch()


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ("{", "preprocessor_config.json cannot be read"),
        ('{"feature_extractor_type": "WhisperFeatureExtractor", "sampling_rate": 16000}',
         "is that of WhisperFeatureExtractor, which makes no images"),
    ],
    ids=["broken", "of another model"],
)  # fmt: skip
def test_a_processor_that_is_not_its_own(
    processor: str, message: str, tmp_path: Path, command: Any
) -> None:
    """One clear line, before anything is built."""
    folder = save("vit", tmp_path)
    (folder / "preprocessor_config.json").write_text(processor)
    done = command("model=huggingface", f"model.checkpoint={folder}", "test=structure")
    assert done.status == 1
    assert message in done.err


def test_audio_that_is_shorter_than_its_convolutions_take(tmp_path: Path, command: Any) -> None:
    """(8 - 1) * 5 + 10 samples leave one frame; the least is named, and a size above it runs."""
    folder = save("wav2vec2", tmp_path)
    done = command("model=huggingface", f"model.checkpoint={folder}", "audio_length=44")
    assert done.status == 1
    assert "audio_length=44: too small for wav2vec2; the minimum is 45" in done.err
    workload, _ = found(folder, "audio_length=45")
    with torch.no_grad():
        assert workload.batch().call(workload.build()).logits.shape[1] == 1


def test_padding_behind_a_prompt_with_an_image_is_masked_where_it_is(tmp_path: Path) -> None:
    """The mask is as long as placeholders and text together, and covers the padding alone."""
    workload, _ = found(save("llava", tmp_path))
    difference = same_padded(Session(workload, 0.1), shorter=120)
    assert difference is not None
    assert not difference.matters


def test_a_model_that_cannot_be_built_fails_its_stages_alone(tmp_path: Path, command: Any) -> None:
    """Also where its inputs were to be tried first: the job has its results and the reason."""
    folder = save("llava", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = 33
    (folder / "config.json").write_text(json.dumps(config))
    done = command("model=huggingface", f"model.checkpoint={folder}", "test=structure")
    assert done.status == 1
    structure = done.results["stages"]["structure"]
    assert structure["status"] == "failed"
    assert structure["reason"]
    assert "could not start" not in done.err


def test_what_a_configuration_leaves_out_its_class_has(tmp_path: Path) -> None:
    """A file may name nothing but the class: sizes are then those of Whisper's own defaults."""
    config = {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = describe(str(tmp_path), "random", False)
    features, written = (told["inputs"][n] for n in ("input_features", "decoder_input_ids"))
    assert (features["bins"], features["length"]) == (80, 3_000)
    assert written["vocab_size"] == 51_865
    assert told["limits"]["sequence_length"] == {"max": 448}
