"""Where a metric changed in a long history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

LEAST = 3
"""Values on either side of a change."""
SURE = 0.01
"""Chance of so great a change, or a greater one, among values in random order."""
SHUFFLED = 999

Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def change_points(values: Sequence[float]) -> list[int]:
    """Return the places of the first values after a change, in order.

    Binary segmentation: the split with the greatest CUSUM statistic of the ranks, which outliers
    do not move (Pettitt 1979), if a permutation test finds it; then likewise on both sides.
    """
    array = np.asarray(values, dtype=np.float64)
    return sorted(_splits(array, 0, np.random.default_rng(0)))


def _splits(array: Values, start: int, rng: np.random.Generator) -> Iterator[int]:
    if array.size < 2 * LEAST:
        return
    place, found = _greatest(array)
    chance = [_greatest(rng.permutation(array))[1] >= found for _ in range(SHUFFLED)]
    if (1 + sum(chance)) / (1 + SHUFFLED) > SURE:
        return
    yield start + place
    yield from _splits(array[:place], start, rng)
    yield from _splits(array[place:], start + place, rng)


def _greatest(array: Values) -> tuple[int, float]:
    """Return the best place to split, and its standardised statistic."""
    _, places, counts = np.unique(array, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places] - (array.size + 1) / 2
    sizes = np.arange(1, array.size)
    statistic = np.abs(np.cumsum(ranks)[:-1]) / np.sqrt(sizes * (array.size - sizes))
    allowed = statistic[LEAST - 1 : array.size - LEAST]
    best = int(np.argmax(allowed))
    return best + LEAST, float(allowed[best])
