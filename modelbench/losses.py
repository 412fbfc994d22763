"""What models are trained towards; a model's YAML names one as `loss`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from modelbench.batch import Batch
from modelbench.tensors import named_tensors


def next_token(outputs: Any, batch: Batch, tokens: str = "input_ids") -> Tensor:
    """Cross-entropy of each token given those before it; `outputs.logits` is `[b, t, vocab]`."""
    logits = outputs.logits[:, :-1].flatten(0, 1)
    return cross_entropy(logits.float(), batch.named()[tokens][:, 1:].flatten())


def contrastive(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001  (every loss takes both)
    """CLIP's loss (Radford et al. 2021): image i belongs to text i, seen from either side."""
    logits: Tensor = outputs.logits_per_image.float()
    pairs = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, pairs) + cross_entropy(logits.T, pairs)) / 2


def mean_square(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001
    """Take the mean square of every floating output, which any model has that names no loss.

    Raises TypeError where no output is floating.
    """
    floating = [t.float() for t in named_tensors(outputs).values() if t.is_floating_point()]
    if not floating:
        raise TypeError("no output is floating-point; name a loss in the model's YAML")
    return torch.cat([tensor.flatten() for tensor in floating]).square().mean()
