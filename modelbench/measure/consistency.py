"""Whether a sample's output is its own, whatever else is in the batch, and with padding or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    random: bool = False
    """Whether it is another one each time that the same is computed, so that nothing is told."""

    @property
    def matters(self) -> bool:
        """Whether this is no rounding."""
        return not self.share <= CLOSE  # NaN matters


def common(small: Any, large: Any) -> Difference | None:
    """Compare what two outputs have in common, each tensor of `large` cut to that of `small`.

    Single numbers, such as a loss, are left out: they are about the whole batch. None where there
    is nothing to compare.
    """
    worst: Difference | None = None
    theirs: Mapping[str, Tensor] = floating(large)
    for name, own in floating(small).items():
        other = theirs.get(name)
        if own.ndim == 0 or other is None or other.ndim != own.ndim:
            continue
        cut = other[tuple(slice(0, size) for size in own.shape)]
        if cut.shape != own.shape or not own.numel():
            continue
        apart = torch.where(own == cut, 0.0, (own - cut).abs())  # infinities may be equal as well
        finite = own[own.isfinite()]
        scale = float(finite.square().mean().sqrt()) if finite.numel() else 0.0
        share = float(apart.max()) / (scale or 1.0)
        if worst is None or not share <= worst.share:
            worst = Difference(share, name)
    return worst


def first_of(batch: Batch, places: Mapping[str, int]) -> Batch:
    """Give the first sample; `places` tells where each input has its samples."""
    own = batch.named()
    return batch.holding(
        {n: t.narrow(places[n], 0, 1) if n in places else t for n, t in own.items()}
    )


@torch.inference_mode()
def alone_and_together(
    model: nn.Module, batch: Batch, places: Mapping[str, int]
) -> Difference | None:
    """Compare the first sample by itself with the first of the batch; None with nothing to."""
    together = batch.call(model)
    again = common(together, batch.call(model))
    if again is None or not places:
        return None
    if again.matters:
        return replace(again, random=True)
    return common(first_of(batch, places).call(model), together)


@torch.inference_mode()
def among_others(
    model: nn.Module, batch: Batch, other: Batch, places: Mapping[str, int]
) -> Difference | None:
    """Compare the first sample's output among its own batch and among `other`'s samples."""
    first = batch.call(model)
    again = common(first, batch.call(model))
    if again is None or not places:
        return None
    if again.matters:
        return replace(again, random=True)
    theirs = other.named()

    def mixed(name: str, own: Tensor) -> Tensor:
        if name not in places:
            return own
        place, rest = places[name], own.shape[places[name]] - 1
        return torch.cat([own.narrow(place, 0, 1), theirs[name].narrow(place, 1, rest)], place)

    joined = batch.holding({name: mixed(name, own) for name, own in batch.named().items()})
    # What belongs to the first sample is as large as the output of it alone.
    alone = floating(first_of(batch, places).call(model))
    whole, changed = floating(first), floating(joined.call(model))
    kept = {n: t for n, t in whole.items() if n in alone and t.ndim == alone[n].ndim}
    return common(
        {n: t[tuple(slice(0, s) for s in alone[n].shape)] for n, t in kept.items()}, changed
    )
