"""What models are trained towards; a model's YAML names one as `loss`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from modelbench.batch import Batch
from modelbench.tensors import named_tensors


def next_token(outputs: Any, batch: Batch, tokens: str = "input_ids") -> Tensor:
    """Cross-entropy of each token given those before it; `outputs.logits` is `[b, t, vocab]`."""
    logits = outputs.logits[:, :-1].flatten(0, 1)
    return cross_entropy(logits.float(), batch.named()[tokens][:, 1:].flatten())


def same_token(outputs: Any, batch: Batch, tokens: str = "input_ids") -> Tensor:
    """Cross-entropy of each token at its own place; `outputs.logits` is `[b, t, vocab]`."""
    return cross_entropy(outputs.logits.flatten(0, 1).float(), batch.named()[tokens].flatten())


def classes(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Cross-entropy of classes; sample i is of class i modulo the number of classes.

    `outputs.logits` is `[b, classes]`, or `[b, t, classes]` with one class for the whole sample.
    With a single class it is a regression, and the mean square is taken.
    """
    logits: Tensor = outputs.logits.float()
    count = logits.shape[-1]
    if count == 1:
        return logits.square().mean()
    wanted = torch.arange(len(logits), device=logits.device) % count
    if logits.ndim == 3:
        wanted = wanted[:, None].expand(logits.shape[:2])
    return cross_entropy(logits.flatten(0, -2), wanted.flatten())


def contrastive(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001  (every loss takes both)
    """CLIP's loss (Radford et al. 2021): image i belongs to text i, seen from either side."""
    logits: Tensor = outputs.logits_per_image.float()
    pairs = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, pairs) + cross_entropy(logits.T, pairs)) / 2


def denoising(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Mean square error of the predicted noise (Ho et al. 2020); near 1 for an untrained model."""
    return mse_loss(outputs["prediction"].float(), outputs["target"].float())


def mean_square(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Take the mean square of every floating output, which any model has that names no loss.

    Raises TypeError where no output is floating.
    """
    floating = [t.float() for t in named_tensors(outputs).values() if t.is_floating_point()]
    if not floating:
        raise TypeError("no output is floating-point; name a loss in the model's YAML")
    return torch.cat([tensor.flatten() for tensor in floating]).square().mean()
