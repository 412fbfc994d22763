"""Any pipeline of diffusers that makes images of a prompt or of a class, with its own models."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from hydra.utils import get_object
from torch import Tensor, nn

from modelbench.inputs.batch import Batch

DENOISERS = ("transformer", "unet")
LOADED = ("Tokenizer", "Scheduler", "Processor", "FeatureExtractor", "TokenizerFast")
"""Endings of what has no weights, and is loaded as it is."""


class _Seen(Exception):  # noqa: N818  (ends a run that has shown what was wanted)
    """The denoiser was called."""


class Pipeline(nn.Module):
    """The models of a pipeline; `forward` calls its denoiser as the pipeline itself calls it.

    The conditions (embeddings, positions, time) are those of the pipeline's first step, found by
    running it that far; they do not change with the noise.
    """

    def __init__(self, pipeline: Any, prompt: str) -> None:
        super().__init__()
        self.pipeline, self.prompt = pipeline, prompt
        pipeline.set_progress_bar_config(disable=True)
        for name, part in pipeline.components.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
                part.requires_grad_(name in DENOISERS)

    @property
    def denoiser(self) -> Any:
        """The model that is called at each step."""
        return next(getattr(self, name) for name in DENOISERS if name in self._modules)

    def forward(self, noise: Tensor) -> dict[str, Tensor]:
        """Predict the noise in it, `[b, channels, h, w]` in the latents' size.

        Returns `prediction` and its `target`, in the shape in which the denoiser has them.
        """
        given = self.conditions(noise)
        name = next(n for n, v in given.items() if isinstance(v, Tensor) and v.is_floating_point())
        given[name] = noise.reshape(given[name].shape)
        found = self.denoiser(**given)
        prediction = found[0] if isinstance(found, tuple) else found.sample
        # Some predict a variance beside it.
        cut = tuple(slice(0, size) for size in given[name].shape)
        return {"prediction": prediction[cut], "target": given[name]}

    @torch.no_grad()
    def conditions(self, noise: Tensor) -> dict[str, Any]:
        """Return the arguments of the denoiser's first call, by name."""
        seen: dict[str, Any] = {}
        names = list(inspect.signature(self.denoiser.forward).parameters)

        def look(_: nn.Module, args: Any, kwargs: Any) -> None:
            seen.update(zip(names, args, strict=False))
            seen.update(kwargs)
            raise _Seen

        hook = self.denoiser.register_forward_pre_hook(look, with_kwargs=True, prepend=True)
        try:
            self.run(noise, steps=2, output_type="latent")
        except _Seen:
            return seen
        finally:
            hook.remove()
        raise RuntimeError(f"{type(self.pipeline).__name__} never called its denoiser")

    def run(self, noise: Tensor, steps: int, output_type: str = "pt") -> Tensor:
        """Run the pipeline; gives images `[b, 3, h, w]` in 0..1, or latents."""
        takes = inspect.signature(self.pipeline.__call__).parameters
        count, size = len(noise), noise.shape[-1] * self.scale
        given: dict[str, Any] = {
            "prompt": [self.prompt] * count, "class_labels": list(range(count)),
            "height": size, "width": size, "num_inference_steps": steps, "guidance_scale": 1.0,
            "output_type": output_type, "use_resolution_binning": False,
            "generator": torch.Generator().manual_seed(0),
        }  # fmt: skip
        images = self.pipeline(**{k: v for k, v in given.items() if k in takes}).images
        if isinstance(images, Tensor):
            return images
        return torch.from_numpy(images).movedim(-1, 1)  # of pipelines that know no 'pt'

    @property
    def scale(self) -> int:
        """Pixels for one of the latents, along either side."""
        vae: Any = self.vae
        levels = getattr(vae.config, "block_out_channels", (1, 1, 1, 1))
        return int(2 ** (len(levels) - 1))

    def parts(self, batch: Batch) -> dict[str, Batch]:
        """Return the input of the denoiser, as far as it is made of tensors."""
        given = self.conditions(batch.named()["noise"])
        tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        whole = all(isinstance(v, Tensor | bool | None.__class__) for v in given.values())
        name = next(name for name in DENOISERS if name in self._modules)
        return {name: Batch((), tensors)} if whole else {}

    @classmethod
    def from_pretrained(cls, folder: str | Path, prompt: str, **given: Any) -> Pipeline:
        """Load what the pipeline's `save_pretrained` wrote."""
        loaded = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, **given)
        return cls(loaded, prompt)

    @classmethod
    def from_config(cls, folder: str | Path, prompt: str) -> Pipeline:
        """Build it with random weights; only the configurations are read."""
        index = json.loads((Path(folder) / "model_index.json").read_text(encoding="utf-8"))
        kind = get_object(f"diffusers.{index['_class_name']}")
        parts = {
            name: _part(Path(folder) / name, *entry)
            for name, entry in index.items()
            if isinstance(entry, list) and len(entry) == 2
        }
        settings = {k: v for k, v in index.items() if k[0] != "_" and not isinstance(v, list)}
        return cls(kind(**parts, **settings), prompt)


def _part(folder: Path, library: str | None, name: str | None) -> Any:
    """Make one component: the models with random weights, all else as it was saved."""
    if library is None or name is None or not folder.is_dir():
        return None
    kind = get_object(f"{library}.{name}")
    if name.endswith(LOADED):
        return kind.from_pretrained(folder)
    if library == "diffusers":
        return kind.from_config(kind.load_config(folder)).eval()
    return kind(kind.config_class.from_pretrained(folder)).eval()
