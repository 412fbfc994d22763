"""What models are trained towards; a model's YAML names one as `loss`.

A loss may have an attribute `start(outputs, batch)`: what it comes to for a model that knows
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from modelbench.batch import Batch
from modelbench.tensors import named_tensors

Loss = TypeVar("Loss", bound=Callable[..., Tensor])
Start = Callable[[Any, Batch], float | None]


def starts_at(start: Start) -> Callable[[Loss], Loss]:
    """Let a loss know what it comes to for a model that knows nothing."""

    def decorate(loss: Loss) -> Loss:
        setattr(loss, "start", start)  # noqa: B010  (functions have no such attribute for mypy)
        return loss

    return decorate


def guess(outputs: Any, batch: Batch) -> float:  # noqa: ARG001
    """Give the cross-entropy of guessing: the logarithm of the number of classes."""
    return math.log(max(2, logits_of(outputs).shape[-1]))


def logits_of(outputs: Any) -> Tensor:
    """Give the logits: the output itself, its `logits`, or the first of several.

    Raises TypeError where there is none of them.
    """
    found = outputs
    if isinstance(outputs, Mapping) and "logits" in outputs:
        found = outputs["logits"]
    elif hasattr(outputs, "logits"):
        found = outputs.logits
    elif isinstance(outputs, list | tuple) and outputs:
        found = outputs[0]
    if not isinstance(found, Tensor):
        raise TypeError(
            f"the output is {type(outputs).__name__}; this loss expects a tensor, or logits in it"
        )
    return found


@starts_at(guess)
def next_token(outputs: Any, batch: Batch, tokens: str = "input_ids") -> Tensor:
    """Cross-entropy of each token given those before it; `outputs.logits` is `[b, t, vocab]`."""
    logits = logits_of(outputs)[:, :-1].flatten(0, 1)
    return cross_entropy(logits.float(), batch.named()[tokens][:, 1:].flatten())


@starts_at(guess)
def same_token(outputs: Any, batch: Batch, tokens: str = "input_ids") -> Tensor:
    """Cross-entropy of each token at its own place; `outputs.logits` is `[b, t, vocab]`."""
    logits = logits_of(outputs).flatten(0, 1)
    return cross_entropy(logits.float(), batch.named()[tokens].flatten())


@starts_at(lambda out, batch: guess(out, batch) if logits_of(out).shape[-1] > 1 else None)
def classes(outputs: Any, batch: Batch) -> Tensor:
    """Cross-entropy of classes: the batch's labels, or else i modulo their number for sample i.

    The logits are `[b, classes]`, or `[b, t, classes]` with one class for the whole sample. With a
    single class it is a regression, and the mean square is taken.
    """
    logits = logits_of(outputs).float()
    count = logits.shape[-1]
    if count == 1:
        return logits.square().mean()
    wanted = torch.arange(len(logits), device=logits.device) % count
    if batch.labels is not None:
        wanted = batch.labels
    if logits.ndim == 3:
        wanted = wanted[:, None].expand(logits.shape[:2])
    return cross_entropy(logits.flatten(0, -2), wanted.flatten())


@starts_at(lambda outputs, batch: math.log(max(2, outputs.shape[1])))  # noqa: ARG005
def brightness(outputs: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of pixels: which of as many bands of brightness each belongs to.

    `outputs` is `[b, classes, h, w]`; of the first input, an image, the channels' mean is divided
    at its quantiles. A single class is the brighter half, by its logit.
    """
    image = next(iter(batch.named().values())).float().mean(1)
    count = max(2, outputs.shape[1])
    at = torch.arange(1, count, device=image.device) / count
    # Of one in so many pixels: torch takes quantiles of 16 million numbers at most.
    few = image.flatten()[:: 1 + image.numel() // 2**20]
    bands = torch.bucketize(image, few.quantile(at).contiguous())
    logits = outputs.float()
    if logits.shape[1] == 1:
        return binary_cross_entropy_with_logits(logits[:, 0], bands.float())
    return cross_entropy(logits, bands)


@starts_at(lambda outputs, batch: math.log(len(outputs.logits_per_image)))  # noqa: ARG005
def contrastive(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001  (every loss takes both)
    """CLIP's loss (Radford et al. 2021): image i belongs to text i, seen from either side."""
    logits: Tensor = outputs.logits_per_image.float()
    pairs = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, pairs) + cross_entropy(logits.T, pairs)) / 2


@starts_at(lambda outputs, batch: 1.0)  # noqa: ARG005  (the variance of the noise)
def denoising(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Mean square error of the predicted noise (Ho et al. 2020)."""
    return mse_loss(outputs["prediction"].float(), outputs["target"].float())


def mean_square(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Take the mean square of every floating output, which any model has that names no loss.

    Raises TypeError where no output is floating.
    """
    floating = [t.float() for t in named_tensors(outputs).values() if t.is_floating_point()]
    if not floating:
        raise TypeError("no output is floating-point; name a loss in the model's YAML")
    return torch.cat([tensor.flatten() for tensor in floating]).square().mean()
