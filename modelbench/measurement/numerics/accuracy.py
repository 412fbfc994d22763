"""How often a model is right."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.losses import logits_of


@torch.inference_mode()
def accuracy(model: nn.Module, batches: Iterable[Batch]) -> float | None:
    """Return the share of labelled samples whose most likely class is right, in evaluation mode.

    None without labels, or with a single class, which is always right.
    """
    training = model.training
    model.eval()
    right = total = 0
    for batch in batches:
        if batch.labels is not None:
            logits = logits_of(batch.call(model))
            if logits.shape[-1] < 2:
                continue
            found = logits.argmax(-1)
            right += int((found == batch.labels).sum())
            total += len(batch.labels)
    model.train(training)
    return right / total if total else None
