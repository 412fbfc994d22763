"""What a pipeline of diffusers does: encode the prompt, denoise step by step, decode."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch
from modelbench.models.pipeline import Pipeline
from modelbench.phases.images import save_images
from modelbench.results import Metric, Skip


def text_encode(model: Pipeline, batch: Batch) -> Callable[[], Any]:
    """Call each text encoder as the pipeline calls it; raises Skip where there is none."""
    encoders = [part for name, part in model.named_children() if name.startswith("text_encoder")]
    if not encoders:
        raise Skip(f"{type(model.pipeline).__name__} takes no text")
    calls: list[Callable[[], Any]] = []

    def look(part: nn.Module, args: Any, kwargs: Any) -> None:
        calls.append(partial(part, *args, **kwargs))

    hooks = [each.register_forward_pre_hook(look, with_kwargs=True) for each in encoders]
    try:
        model.conditions(batch.named()["noise"])
    finally:
        for hook in hooks:
            hook.remove()
    return lambda: [call() for call in calls]


def denoise_step(model: Pipeline, batch: Batch) -> Callable[[], Any]:
    """Call the denoiser once, under the conditions of the first step."""
    given = model.conditions(batch.named()["noise"])
    return partial(model.denoiser, **given)


def vae_decode(model: Pipeline, batch: Batch) -> Callable[[], Any]:
    """Decode latents."""
    vae: Any = model.vae
    return partial(vae.decode, batch.named()["noise"])


class Generate:
    """Make images in `steps` steps, without guidance."""

    def __init__(self, model: Pipeline, batch: Batch, steps: int = 20) -> None:
        self._model, self._noise, self._steps = model, batch.named()["noise"], steps
        self._seconds: list[float] = []
        self._images: Tensor | None = None

    def __call__(self) -> Tensor:
        """Generate once; images `[b, 3, h, w]`."""
        begin = perf_counter()
        with torch.no_grad():
            self._images = self._model.run(self._noise, self._steps)
        self._seconds.append(perf_counter() - begin)
        return self._images

    def figures(self, samples: int) -> dict[str, Metric]:
        """Return the seconds for each image, over the last calls."""
        seconds = statistics.median(self._seconds[-samples:]) / len(self._noise)
        return {"s_per_image": Metric(seconds, "s")}

    def save(self, directory: Path) -> list[str]:
        """Write the images of the last call side by side."""
        assert self._images is not None
        return [save_images(self._images, directory, "images/generate.png")]
