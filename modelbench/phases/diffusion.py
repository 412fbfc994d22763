"""What a text-to-image diffusion model does: encode the prompt, denoise step by step, decode."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.models.stable_diffusion import StableDiffusion
from modelbench.phases.images import save_images
from modelbench.results import Metric
from modelbench.system.accelerator import synchronize


def text_encode(model: StableDiffusion, batch: Batch) -> Callable[[], Tensor]:
    """Encode the prompts."""
    return partial(model.encode, batch.named()["input_ids"])


class DenoiseStep:
    """Take the first of `steps` steps; a guided one runs the UNet with and without the prompt."""

    def __init__(
        self, model: StableDiffusion, batch: Batch, steps: int = 20, guidance_scale: float = 7.5
    ) -> None:
        self._model, self._batch = model, batch
        self._steps, self._guidance_scale = steps, guidance_scale
        with torch.inference_mode():
            self._embeddings = _embeddings(model, batch, guidance_scale)

    def __call__(self) -> Tensor:
        """Step once from pure noise."""
        latents, timesteps = _start(self._model, self._batch, self._steps)
        given = self._embeddings, self._guidance_scale
        return self._model.denoise(latents, timesteps[0], *given)

    def on_shapes(self) -> Tensor:
        """Do the same without the scheduler, which looks at numbers and multiplies no matrices."""
        noise = self._batch.named()["noise"]
        timestep = torch.zeros((), device=noise.device)
        return self._model.predict(noise, timestep, self._embeddings, self._guidance_scale)


def vae_decode(model: StableDiffusion, batch: Batch) -> Callable[[], Tensor]:
    """Decode the latents of the batch's own images."""
    with torch.inference_mode():
        latents = model.latents(batch.named()["pixel_values"])
    return partial(model.decode, latents)


class Generate:
    """Make an image of each prompt in `steps` guided steps."""

    def __init__(
        self, model: StableDiffusion, batch: Batch, steps: int = 20, guidance_scale: float = 7.5
    ) -> None:
        self._model, self._batch = model, batch
        self._steps, self._guidance_scale = steps, guidance_scale
        self._runs: list[tuple[float, float]] = []
        self._images: Tensor | None = None

    def __call__(self) -> Tensor:
        """Generate once; images `[b, 3, h, w]`."""
        model = self._model
        begin = perf_counter()
        embeddings = _embeddings(model, self._batch, self._guidance_scale)
        latents, timesteps = _start(model, self._batch, self._steps)
        denoising = self._now()
        for timestep in timesteps:
            latents = model.denoise(latents, timestep, embeddings, self._guidance_scale)
        denoised = self._now()
        self._images = model.decode(latents)
        each = (denoised - denoising) / len(timesteps)
        self._runs.append(((self._now() - begin) / len(latents), each))
        return self._images

    def on_shapes(self) -> Tensor:
        """Do the same without the scheduler, which looks at numbers and multiplies no matrices."""
        model, latents = self._model, self._batch.named()["noise"]
        embeddings = _embeddings(model, self._batch, self._guidance_scale)
        _, timesteps = _start(model, self._batch, self._steps)
        for _ in range(len(timesteps)):
            timestep = torch.zeros((), device=latents.device)
            latents = model.predict(latents, timestep, embeddings, self._guidance_scale)
        return model.decode(latents)

    def figures(self, samples: int) -> dict[str, Metric]:
        """Return the seconds for each image and each step, over the last calls."""
        images, steps = zip(*self._runs[-samples:], strict=True)
        return {
            "s_per_image": Metric(statistics.median(images), "s"),
            "s_per_step": Metric(statistics.median(steps), "s"),
        }

    def save(self, directory: Path) -> list[str]:
        """Write the images of the last call side by side."""
        assert self._images is not None
        return [save_images((self._images + 1) / 2, directory, "images/generate.png")]

    def _now(self) -> float:
        synchronize(self._batch.named()["noise"].device)
        return perf_counter()


def _start(model: StableDiffusion, batch: Batch, steps: int) -> tuple[Tensor, Tensor]:
    """Return pure noise and the timesteps; resets what the scheduler remembers of earlier calls."""
    noise = batch.named()["noise"]
    model.scheduler.set_timesteps(steps, device=noise.device)
    return noise * model.scheduler.init_noise_sigma, model.scheduler.timesteps


def _embeddings(model: StableDiffusion, batch: Batch, guidance_scale: float) -> Tensor:
    """Encode the prompts, after as many empty ones where the steps are guided."""
    tokens = batch.named()["input_ids"]
    if guidance_scale <= 1:  # by this formula 1 is no guidance
        return model.encode(tokens)
    # CLIP's empty prompt is its first token and then its last, which fills the rest.
    empty = torch.cat([tokens[:, :1], tokens[:, -1:].expand(-1, tokens.shape[1] - 1)], dim=1)
    return model.encode(torch.cat([empty, tokens]))
