"""Whether a sample's output is its own, whatever else is in the batch, and with padding or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.batch import Batch
from modelbench.measure.fidelity import floating

CLOSE = 1e-3
"""Of the output's root mean square: more than kernels of other sizes round differently."""


@dataclass(frozen=True)
class Difference:
    """How far two outputs lie apart at most, over the root mean square, and which it is."""

    share: float
    output: str

    @property
    def matters(self) -> bool:
        """Whether this is no rounding."""
        return not self.share <= CLOSE  # NaN matters


def common(small: Any, large: Any) -> Difference:
    """Compare what two outputs have in common, each tensor of `large` cut to that of `small`.

    Single numbers, such as a loss, are left out: they are about the whole batch.
    """
    worst = Difference(0.0, "")
    theirs: Mapping[str, Tensor] = floating(large)
    for name, own in floating(small).items():
        other = theirs.get(name)
        if own.ndim == 0 or other is None or other.ndim != own.ndim:
            continue
        cut = other[tuple(slice(0, size) for size in own.shape)]
        if cut.shape != own.shape:
            continue
        scale = float(own.square().mean().sqrt()) or 1.0
        share = float((own - cut).abs().max()) / scale if own.numel() else 0.0
        if not share <= worst.share:
            worst = Difference(share, name)
    return worst


@torch.inference_mode()
def alone_and_together(model: nn.Module, batch: Batch) -> Difference:
    """Compare the first sample by itself with the first of the batch."""
    alone = batch.map(lambda tensor: tensor[:1]).call(model)
    return common(alone, batch.call(model))


@torch.inference_mode()
def among_others(model: nn.Module, batch: Batch, other: Batch) -> Difference:
    """Compare the first sample's output among its own batch and among `other`'s samples."""
    mixed = batch.joined(other, lambda own, theirs: torch.cat([own[:1], theirs[1:]]))
    first = batch.call(model)
    size = len(next(iter(batch.named().values())))
    alone = floating(batch.map(lambda tensor: tensor[:1]).call(model))
    # What belongs to the first sample is as large as the output of it alone.
    whole, again = floating(first), floating(mixed.call(model))
    kept = {n: t for n, t in whole.items() if size > 1 and n in alone and t.ndim == alone[n].ndim}
    return common(
        {n: t[tuple(slice(0, s) for s in alone[n].shape)] for n, t in kept.items()}, again
    )
