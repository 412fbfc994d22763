"""Which ways to run a model there are, and which of them come next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelbench.runtimes.variant import Variant
from modelbench.stages.recommend.command import CHANNELS_LAST
from modelbench.system.cgroup import usable_cores

NO_SIZE: list[int | None] = [None]
IN_TORCH = {"eager", "compile"}
"""Runtimes that run the model's own code, in whatever layout it has."""


def first_variants(
    engines: Mapping[str, Any], schemes: Mapping[str, Any], sizes: Sequence[int]
) -> Iterator[Variant]:
    """Yield each runtime in each precision, on all threads."""
    for runtime, engine in engines.items():
        for precision, scheme in schemes.items():
            for size in [*sizes] or NO_SIZE:
                yield Variant(runtime, precision, engine, scheme, batch_size=size)


def refined(variant: Variant, *, images: bool) -> Iterator[Variant]:
    """Yield a variant's neighbours: other threads, and another layout of images."""
    cores = max(1, int(usable_cores()))
    if cores > 1:
        yield replace(variant, threads=max(1, cores // 2))
    if images and variant.runtime in IN_TORCH and variant.scheme is None:
        yield replace(variant, channels_last=True, scheme=CHANNELS_LAST)


def all_variants(
    engines: Mapping[str, Any], schemes: Mapping[str, Any], sizes: Sequence[int], *, images: bool
) -> list[Variant]:
    """Return every combination."""
    found: list[Variant] = []
    for variant in first_variants(engines, schemes, sizes):
        found.append(variant)
        for other in refined(variant, images=images):
            found.append(other)
            found += [
                each for each in refined(other, images=images) if each.threads == other.threads
            ]
    return list({variant.label: variant for variant in found}.values())
