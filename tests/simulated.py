"""Samples of times whose truth is known, from fixed seeds."""

from __future__ import annotations

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

MEDIAN = 100.0


def correlated(rng: np.random.Generator, count: int, lag: float, deviation: float = 0.03) -> Array:
    """Draw from a stationary process of first order with median 100, skewed as times are."""
    noise = rng.standard_normal(count)
    values = np.empty(count)
    values[0] = noise[0]
    for i in range(1, count):
        values[i] = lag * values[i - 1] + np.sqrt(1 - lag**2) * noise[i]
    return np.asarray(MEDIAN * np.exp(deviation * values))


def drifting(rng: np.random.Generator, count: int, by: float) -> Array:
    """Draw with a mean that moves by `by` of itself from first to last."""
    where = np.linspace(-0.5, 0.5, count) * by * MEDIAN
    return np.asarray(MEDIAN + where + rng.normal(0, 1, count))


def bimodal(rng: np.random.Generator, count: int, share: float = 0.3) -> Array:
    """Draw from two groups, at 100 and at 110, the second with that share."""
    return np.asarray(np.where(rng.random(count) < share, 110.0, 100.0) + rng.normal(0, 1, count))


def switching(rng: np.random.Generator, count: int, often: float = 0.03) -> Array:
    """Draw from two states, at 100 and at 110, that last for a while."""
    state = np.cumsum(rng.random(count) < often) % 2
    return np.asarray(100 + 10.0 * state + rng.normal(0, 1, count))
