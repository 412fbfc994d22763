"""Images from text by latent diffusion (Rombach et al. 2022, arXiv:2112.10752)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from torch import Tensor, nn

from modelbench.inputs.batch import Batch


class StableDiffusion(nn.Module):
    """Text encoder, UNet and VAE of transformers and diffusers, with a diffusers scheduler.

    `forward` is what training does: the VAE's and the text encoder's weights are frozen, as they
    are when Stable Diffusion is fine-tuned, and the UNet learns to tell the noise.
    """

    def __init__(
        self, text_encoder: nn.Module, unet: nn.Module, vae: nn.Module, scheduler: Any
    ) -> None:
        super().__init__()
        self.text_encoder: Any = text_encoder.requires_grad_(False)
        self.vae: Any = vae.requires_grad_(False)
        self.unet: Any = unet
        self.scheduler = scheduler
        # Samplers take their own steps only; training adds noise at any of them.
        self.noising = DDPMScheduler.from_config(scheduler.config)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, use_safetensors: bool = True, trust_remote_code: bool = False
    ) -> StableDiffusion:
        """Load what `StableDiffusionPipeline.save_pretrained` wrote."""
        left_out = dict.fromkeys(("tokenizer", "safety_checker", "feature_extractor"))
        loaded = StableDiffusionPipeline.from_pretrained(
            folder,
            use_safetensors=use_safetensors,
            trust_remote_code=trust_remote_code,
            requires_safety_checker=False,
            **left_out,
        )
        return cls(loaded.text_encoder, loaded.unet, loaded.vae, loaded.scheduler)

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, noise: Tensor, timesteps: Tensor
    ) -> dict[str, Tensor]:
        """Predict the noise in a noised image.

        `pixel_values` is `[b, 3, h, w]` in -1..1, `noise` `[b, 4, h/8, w/8]`, `timesteps` `[b]`.
        Returns `prediction` and its `target`, both shaped like `noise`.
        """
        with torch.no_grad():
            latents = self.latents(pixel_values)
            embeddings = self.encode(input_ids)
        noised = self.noising.add_noise(latents, noise, timesteps)
        prediction = self.unet(noised, timesteps, embeddings).sample
        by_velocity = self.noising.config.prediction_type == "v_prediction"
        target = self.noising.get_velocity(latents, noise, timesteps) if by_velocity else noise
        return {"prediction": prediction, "target": target}

    def parts(self, batch: Batch) -> dict[str, Batch]:
        """Return the input of each part, for those who look at them one by one."""
        given = batch.named()
        embeddings = self.encode(given["input_ids"])
        unet = {
            "sample": given["noise"],
            "timestep": given["timesteps"],
            "encoder_hidden_states": embeddings,
        }
        return {
            "text_encoder": Batch((), {"input_ids": given["input_ids"]}),
            "unet": Batch((), unet),
            "vae": Batch((), {"sample": given["pixel_values"]}),
        }

    def encode(self, input_ids: Tensor) -> Tensor:
        """Return the text's embeddings, `[b, t, width]`."""
        embeddings: Tensor = self.text_encoder(input_ids).last_hidden_state
        return embeddings

    def latents(self, pixel_values: Tensor) -> Tensor:
        """Encode images into latents `[b, 4, h/8, w/8]` of about unit variance."""
        latents: Tensor = self.vae.encode(pixel_values).latent_dist.mode()
        scale: float = self.vae.config.scaling_factor
        return latents * scale

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents into images `[b, 3, h, w]` in about -1..1."""
        images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images

    def predict(
        self, latents: Tensor, timestep: Tensor, embeddings: Tensor, guidance_scale: float
    ) -> Tensor:
        """Predict what the scheduler takes away.

        Where `embeddings` are twice as many as `latents`, the first half is that of empty prompts
        and the prediction is guided away from it (Ho and Salimans 2022, arXiv:2207.12598).
        """
        if len(embeddings) == len(latents):
            alone: Tensor = self.unet(latents, timestep, embeddings).sample
            return alone
        both = self.unet(torch.cat([latents, latents]), timestep, embeddings).sample
        without, towards = both.chunk(2)
        guided: Tensor = without + guidance_scale * (towards - without)
        return guided

    def denoise(
        self, latents: Tensor, timestep: Tensor, embeddings: Tensor, guidance_scale: float
    ) -> Tensor:
        """Take one step of the scheduler."""
        sample = self.scheduler.scale_model_input(latents, timestep)
        prediction = self.predict(sample, timestep, embeddings, guidance_scale)
        stepped: Tensor = self.scheduler.step(prediction, timestep, latents).prev_sample
        return stepped
