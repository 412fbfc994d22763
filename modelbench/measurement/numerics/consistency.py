"""Whether a sample's output is its own, whatever else is in the batch, and with padding or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.numerics.fidelity import floating

CLOSE = 1e-3
"""Of the output's root mean square: more than kernels of other sizes round otherwise in float32,"""
ROUNDINGS = 16
"""and in less precise types this many times the distance of neighbouring numbers."""


def close(eps: float) -> float:
    """Return the share by which outputs may differ that were computed with such a distance."""
    return max(CLOSE, ROUNDINGS * eps)


RANDOM = (
    "the output {} changes from call to call in eval mode: whether it depends on the other samples "
    "cannot be checked"
)
"""A warning."""
NOT_COMPARED = (
    "no floating-point output belongs to a sample: none was compared alone and in a batch"
)
"""A note."""


@dataclass(frozen=True)
class Difference:
    """How far two outputs lie apart at most, over the root mean square, and which it is."""

    share: float
    output: str
    allowed: float = CLOSE
    random: bool = False
    """Whether it is another one each time that the same is computed, so that nothing is told."""

    @property
    def matters(self) -> bool:
        """Whether this is no rounding."""
        return not self.share <= self.allowed  # NaN matters


def common(small: Any, large: Any, eps: float = 0.0) -> Difference | None:
    """Compare what two outputs have in common, each tensor of `large` cut to that of `small`.

    Single numbers, such as a loss, are left out: they are about the whole batch. None where there
    is nothing to compare.
    """
    theirs: Mapping[str, Tensor] = floating(large)
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    for name, own in floating(small).items():
        other = theirs.get(name)
        if own.ndim and other is not None and other.ndim == own.ndim:
            pairs[name] = own, other[tuple(slice(0, size) for size in own.shape)]
    return _worst(pairs, eps)


def _worst(pairs: Mapping[str, tuple[Tensor, Tensor]], eps: float) -> Difference | None:
    """Return the greatest difference; tensors of other shapes, and empty ones, are left out."""
    shares = {
        name: _share(own, other)
        for name, (own, other) in pairs.items()
        if own.shape == other.shape and own.numel()
    }
    if not shares:
        return None
    worst = max(shares, key=lambda name: (math.isnan(shares[name]), shares[name]))
    return Difference(shares[worst], worst, close(eps))


def _share(own: Tensor, other: Tensor) -> float:
    # Infinities may be equal as well.
    apart = torch.where(own == other, 0.0, (own - other).abs())
    finite = own[own.isfinite()]
    scale = float(finite.square().mean().sqrt()) if finite.numel() else 0.0
    return float(apart.max()) / (scale or 1.0)


def first_of(batch: Batch, places: Mapping[str, int], count: int = 1) -> Batch:
    """Return the first samples; `places` tells where each input has its samples."""
    own = batch.named()
    return batch.holding(
        {n: t.narrow(places[n], 0, count) if n in places else t for n, t in own.items()}
    )


class Samples:
    """Where the outputs of a model have their samples, found by calling it with fewer of them."""

    def __init__(self, model: nn.Module, batch: Batch, places: Mapping[str, int]) -> None:
        named = batch.named()
        self.count = min(named[name].shape[place] for name, place in places.items())
        self._fewer = max(1, self.count - 1)
        self.batch, self.whole = batch, floating(batch.call(model))
        self._fewer_out = floating(first_of(batch, places, self._fewer).call(model))

    def first(self, name: str, output: Tensor) -> list[Tensor]:
        """Return what belongs to the first sample in such an output of the whole batch.

        Where a sample has several places in a dimension, as in [batch * tokens, classes], these
        are the first, or else those at the distance of the batch: either is given. Nothing where
        no dimension grows with the batch.
        """
        more, fewer = self.whole.get(name), self._fewer_out.get(name)
        if more is None or fewer is None or more.ndim != fewer.ndim or output.shape != more.shape:
            return []
        grown = [d for d in range(more.ndim) if more.shape[d] != fewer.shape[d]]
        of_each = {d: more.shape[d] // self.count for d in grown}
        if not grown or any(
            (more.shape[d], fewer.shape[d]) != (each * self.count, each * self._fewer)
            for d, each in of_each.items()
        ):
            return []
        behind, spread = output, output
        for d, each in of_each.items():
            behind = behind.narrow(d, 0, each)
            places = torch.arange(0, spread.shape[d], self.count)
            spread = spread.index_select(d, places)
        several = any(each > 1 for each in of_each.values())
        return [behind, spread] if several else [behind]

    def compared(self, others: Mapping[str, Tensor], eps: float) -> Difference | None:
        """Compare the first sample's outputs with those of it among others, or of it alone."""
        pairs: dict[str, tuple[Tensor, Tensor]] = {}
        for name, own in self.whole.items():
            other = others.get(name)
            if other is None:
                continue
            mine = self.first(name, own)
            theirs = self.first(name, other) if other.shape == own.shape else [other] * len(mine)
            # One that drops the dimension of a single sample is the same all the same.
            both = [
                (a.reshape(b.shape), b)
                for a, b in zip(mine, theirs, strict=True)
                if a.numel() == b.numel() > 0
            ]
            if both:
                pairs[name] = min(both, key=lambda pair: _share(*pair))
        return _worst(pairs, eps)


@torch.inference_mode()
def alone_and_together(
    model: nn.Module, batch: Batch, places: Mapping[str, int], eps: float = 0.0
) -> Difference | None:
    """Compare the first sample by itself with the first of the batch; None with nothing to."""
    return _compared(model, batch, places, eps, lambda: first_of(batch, places))


@torch.inference_mode()
def among_others(
    model: nn.Module, batch: Batch, other: Batch, places: Mapping[str, int], eps: float = 0.0
) -> Difference | None:
    """Compare the first sample's output among its own batch and among `other`'s samples."""

    def mixed(own: Tensor, theirs: Tensor, place: int | None) -> Tensor:
        if place is None:
            return own
        rest = own.shape[place] - 1
        return torch.cat([own.narrow(place, 0, 1), theirs.narrow(place, 1, rest)], place)

    def joined() -> Batch:
        named = other.named()
        return batch.holding(
            {n: mixed(own, named[n], places.get(n)) for n, own in batch.named().items()}
        )

    return _compared(model, batch, places, eps, joined)


def _compared(
    model: nn.Module, batch: Batch, places: Mapping[str, int], eps: float,
    changed: Callable[[], Batch],
) -> Difference | None:  # fmt: skip
    if not places:
        return None
    samples = Samples(model, batch, places)
    again = samples.compared(floating(batch.call(model)), eps)
    if again is not None and again.matters:
        return replace(again, random=True)
    return again and samples.compared(floating(changed().call(model)), eps)
