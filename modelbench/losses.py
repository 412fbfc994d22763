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
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    ctc_loss,
    interpolate,
    mse_loss,
)

from modelbench.inputs.batch import Batch
from modelbench.inputs.tensors import named_tensors

Loss = TypeVar("Loss", bound=Callable[..., Tensor])
Start = Callable[[Any, Batch], float | None]


def starts_at(start: Start) -> Callable[[Loss], Loss]:
    """Let a loss know what it comes to for a model that knows nothing."""

    def decorate(loss: Loss) -> Loss:
        setattr(loss, "start", start)  # noqa: B010  (functions have no such attribute for mypy)
        return loss

    return decorate


def uniform(outputs: Any, batch: Batch) -> float:  # noqa: ARG001
    """Return the cross-entropy of guessing: the logarithm of the number of classes."""
    return math.log(max(2, logits_of(outputs).shape[-1]))


def logits_of(outputs: Any) -> Tensor:
    """Return the logits: the output itself, its `logits`, or the first of several.

    Raises TypeError where there is none of them.
    """
    found = outputs
    if isinstance(outputs, Mapping) and "logits" in outputs:
        found = outputs["logits"]
    elif hasattr(outputs, "logits"):
        found = outputs.logits
    elif isinstance(outputs, Mapping) and outputs:
        found = next(iter(outputs.values()))
    elif isinstance(outputs, list | tuple) and outputs:
        found = outputs[0]
    if not isinstance(found, Tensor):
        raise TypeError(
            f"the output is {type(outputs).__name__}; this loss expects a tensor or logits"
        )
    return found


@starts_at(uniform)
def next_token(outputs: Any, batch: Batch, tokens: str = "input_ids") -> Tensor:
    """Cross-entropy of each token given those before it; `outputs.logits` is `[b, t, vocab]`."""
    wanted = batch.named()[tokens]
    # Of a text with an image before it, the last logits are those of the text.
    logits = logits_of(outputs)[:, -wanted.shape[1] : -1].flatten(0, 1)
    return cross_entropy(logits.float(), wanted[:, 1:].flatten())


@starts_at(uniform)
def same_token(outputs: Any, batch: Batch, tokens: str = "input_ids") -> Tensor:
    """Cross-entropy of each token at its own place; `outputs.logits` is `[b, t, vocab]`."""
    logits = logits_of(outputs).flatten(0, 1)
    return cross_entropy(logits.float(), batch.named()[tokens].flatten())


@starts_at(lambda out, batch: uniform(out, batch) if logits_of(out).shape[-1] > 1 else None)
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


@starts_at(lambda outputs, batch: math.log(max(2, logits_of(outputs).shape[1])))  # noqa: ARG005
def brightness(outputs: Any, batch: Batch) -> Tensor:
    """Cross-entropy of pixels: which of as many bands of brightness each belongs to.

    The logits are `[b, classes, h, w]`; of the first input, an image, the channels' mean is divided
    at its quantiles. A single class is the brighter half, by its logit.
    """
    logits = logits_of(outputs).float()
    image = next(iter(batch.named().values())).float().mean(1, keepdim=True)
    if image.shape[-2:] != logits.shape[-2:]:  # of some networks the output is smaller
        image = interpolate(image, logits.shape[-2:], mode="area")
    image = image[:, 0]
    count = max(2, logits.shape[1])
    at = torch.arange(1, count, device=image.device) / count
    # Of one in so many pixels: torch takes quantiles of 16 million numbers at most.
    few = image.flatten()[:: 1 + image.numel() // 2**20]
    bands = torch.bucketize(image, few.quantile(at).contiguous())
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


@starts_at(uniform)
def first_place(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Cross-entropy of where an answer begins and ends: at the first token, in every sample."""
    ends = [outputs.start_logits, outputs.end_logits]
    first = torch.zeros(len(ends[0]), dtype=torch.int64, device=ends[0].device)
    return sum((cross_entropy(each.float(), first) for each in ends), torch.zeros(())) / 2


def ctc(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """CTC (Graves et al. 2006) with the classes 1, 2, 3 as the text; class 0 is the blank.

    The logits are `[b, t, classes]`.
    """
    logits = logits_of(outputs).float()
    scores = logits.log_softmax(-1).transpose(0, 1)
    steps, count, classes_ = scores.shape
    text = torch.arange(1, 4, device=logits.device) % classes_
    length = torch.full((count,), min(len(text), max(1, steps // 2)), device=logits.device)
    return ctc_loss(scores, text.expand(count, -1), torch.full_like(length, steps), length)


@starts_at(uniform)
def nothing_there(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Cross-entropy of a detector's queries towards the last class, which is that of nothing."""
    logits = logits_of(outputs).float().flatten(0, -2)
    last = torch.full((len(logits),), logits.shape[-1] - 1, device=logits.device)
    return cross_entropy(logits, last)


def depth(outputs: Any, batch: Batch) -> Tensor:
    """Mean square distance of the depth, `[b, h, w]`, from the image's brightness."""
    image = next(iter(batch.named().values())).float().mean(1, keepdim=True)
    found = outputs.predicted_depth.float()
    found = found[:, None] if found.ndim == 3 else found
    return mse_loss(found, interpolate(image, found.shape[-2:], mode="area"))
