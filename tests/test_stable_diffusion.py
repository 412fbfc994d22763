"""Stable Diffusion is version 1.5's own architecture, and generates as diffusers does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from checkpoints import save, stable_diffusion
from conftest import Command
from PIL import Image
from test_workload import workload

from modelbench.inputs.batch import Batch
from modelbench.losses import denoising
from modelbench.models.stable_diffusion import StableDiffusion
from modelbench.phases.diffusion import DenoiseStep, Generate, text_encode, vae_decode

TINY = ("model=stable_diffusion", "model.variant=tiny")
PARTS = {"text_encoder": 123_060_480, "unet": 859_520_964, "vae": 83_653_863}


@pytest.mark.slow
def test_the_parameters_of_version_15(command: Command) -> None:
    """Each part's, and the total; without memory, and without a number computed."""
    done = command("model=stable_diffusion", "model.weights=fake", "test=structure")
    metrics = done.results["stages"]["structure"]["metrics"]
    for part, params in PARTS.items():
        assert metrics[f"structure/{part}/params"]["value"] == params
    assert metrics["structure/params"]["value"] == sum(PARTS.values())
    assert metrics["structure/trainable_params"]["value"] == PARTS["unet"]
    # UNet without attention: the 338.6 G that others count for one latent image of 64x64.
    assert metrics["structure/unet/macs_g"]["value"] == pytest.approx(401.637, abs=1e-3)


@pytest.mark.slow  # the docs' command for it is run as well
def test_every_stage_on_the_tiny_variant(command: Command) -> None:
    """Parts, phases, seconds for each image and step, and the image."""
    words = ("model.steps=2", "batch_size=2", "test.benchmark.min_s=0.1", "image_size=48")
    done = command(*TINY, *words, "test.benchmark.min_samples=2")
    assert (done.status, done.err) == (0, "")
    stages = done.results["stages"]
    metrics = {k: m["value"] for stage in stages.values() for k, m in stage["metrics"].items()}
    parts = [metrics[f"structure/{part}/params"] for part in PARTS]
    assert metrics["structure/params"] == sum(parts)
    assert stages["structure"]["details"]["output_shapes"]["prediction"] == [2, 4, 6, 6]
    for phase in ("text_encode", "denoise_step", "vae_decode", "generate"):
        assert metrics[f"benchmark/{phase}/p50_ms"] > 0
    whole = metrics["benchmark/generate/p50_ms"] / 1e3
    assert metrics["benchmark/generate/s_per_image"] == pytest.approx(whole / 2, rel=0.2)
    assert 2 * metrics["benchmark/generate/s_per_step"] < whole
    with Image.open(done.files[0].parent / "images" / "generate.png") as image:
        assert image.size == (96, 48)


@pytest.fixture
def pipeline() -> Any:
    """Return a pipeline of diffusers, quiet."""
    made = stable_diffusion()
    made.set_progress_bar_config(disable=True)
    return made


def ours(pipeline: Any) -> StableDiffusion:
    """Make our model of a pipeline's parts."""
    return StableDiffusion(
        pipeline.text_encoder, pipeline.unet, pipeline.vae, pipeline.scheduler
    ).eval()


def prompt(pipeline: Any, text: str) -> Batch:
    """Make a batch as the workload does, with the tokenizer's tokens."""
    tokens = pipeline.tokenizer([text], padding="max_length", max_length=77, return_tensors="pt")[
        "input_ids"
    ]
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    timesteps = torch.tensor([500])
    given = {"pixel_values": image, "input_ids": tokens, "noise": noise, "timesteps": timesteps}
    return Batch((), given)


# A sampler of diffusers itself, with NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("scale", [1.0, 7.5])
@pytest.mark.parametrize("sampler", ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler"])
def test_images_are_those_of_diffusers(pipeline: Any, sampler: str, scale: float) -> None:
    """The same noise and prompt give the same image, guided or not, with any sampler, each call."""
    pipeline.scheduler = getattr(diffusers, sampler).from_config(pipeline.scheduler.config)
    # The library's empty prompt is padded with the tokenizer's padding, ours with the last token.
    pipeline.tokenizer.pad_token = pipeline.tokenizer.eos_token
    batch = prompt(pipeline, "the fox")
    theirs = pipeline(
        "the fox", num_inference_steps=4, guidance_scale=scale, height=16, width=16,
        latents=batch.kwargs["noise"], output_type="pt",
    ).images  # fmt: skip
    generate = Generate(ours(pipeline), batch, steps=4, guidance_scale=scale)
    with torch.inference_mode():
        for _ in range(2):
            image = (generate() / 2 + 0.5).clamp(0, 1)
            torch.testing.assert_close(image, theirs, atol=1e-4, rtol=0)


def test_the_phases_fit_together(pipeline: Any) -> None:
    """One step by itself is the first of an image of one step; its decoding is the image."""
    model, batch = ours(pipeline), prompt(pipeline, "the fox")
    with torch.inference_mode():
        step = DenoiseStep(model, batch, steps=1)
        first, again = step(), step()
        torch.testing.assert_close(first, again)
        torch.testing.assert_close(model.decode(first), Generate(model, batch, steps=1)())
        assert text_encode(model, batch)().shape == (1, 77, 32)
        assert vae_decode(model, batch)().shape == (1, 3, 16, 16)


def test_training_predicts_the_noise(pipeline: Any) -> None:
    """Only the UNet learns, all of it, towards the noise, or towards the velocity."""
    model, batch = ours(pipeline), prompt(pipeline, "the fox")
    outputs = batch.call(model)
    assert torch.equal(outputs["target"], batch.kwargs["noise"])
    torch.autograd.backward(denoising(outputs, batch))
    assert all(p.grad is not None for p in model.unet.parameters())
    assert not any(p.requires_grad for p in [*model.vae.parameters(),
                                             *model.text_encoder.parameters()])  # fmt: skip
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(
        pipeline.scheduler.config, prediction_type="v_prediction"
    )
    velocity = batch.call(ours(pipeline))["target"]
    assert not torch.equal(velocity, batch.kwargs["noise"])


def test_an_untrained_model_is_near_a_loss_of_one() -> None:
    """It predicts next to nothing of noise with variance one."""
    tiny = workload(*TINY, "batch_size=4")
    with torch.no_grad():
        loss = tiny.loss(tiny.batch().call(tiny.build()), tiny.batch())
    assert loss.item() == pytest.approx(1, rel=0.3)


def test_weights_of_a_pipeline(tmp_path: Path) -> None:
    """`weights=pretrained` reads every part."""
    folder = save("stable_diffusion", tmp_path)
    words = ("model.weights=pretrained", f"model.checkpoint={folder}")
    loaded = workload("model=stable_diffusion", *words).build()
    saved = ours(stable_diffusion()).state_dict()
    found = loaded.state_dict()
    assert saved.keys() == found.keys()
    assert all(torch.equal(saved[key], found[key]) for key in saved)
