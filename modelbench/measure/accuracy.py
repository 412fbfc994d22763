"""How often a model is right."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from modelbench.batch import Batch
from modelbench.losses import logits_of


@torch.inference_mode()
def accuracy(model: nn.Module, batches: Iterable[Batch]) -> float | None:
    """Give the share of labelled samples whose most likely class is right, in evaluation mode."""
    training = model.training
    model.eval()
    right = total = 0
    for batch in batches:
        if batch.labels is not None:
            found = logits_of(batch.call(model)).argmax(-1)
            right += int((found == batch.labels).sum())
            total += len(batch.labels)
    model.train(training)
    return right / total if total else None
