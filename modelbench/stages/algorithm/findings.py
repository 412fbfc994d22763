"""What a training comes to in the report."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def not_falling(
    losses: Sequence[float], norms: Sequence[float | None], least: float, rate: float
) -> str:
    """Return why a loss has not fallen by the share `least`, from the norms of its gradients."""
    if set(norms) == {None}:
        return f"all {len(losses)} steps were skipped: the gradients held NaN or infinity"
    if len(set(losses)) == 1 and set(norms) == {0.0}:
        return (
            f"the loss is constant at {losses[0]:.4g}, with zero gradients: it does not depend on "
            "the parameters"
        )
    return (
        f"the loss does not fall: {losses[0]:.4g} at first, {statistics.median(losses[-3:]):.4g} "
        f"after {len(losses)} steps, expected at least {least:.0%} less (test.algorithm.min_drop); "
        f"if the learning rate is the cause, set test.algorithm.optimizer.lr, now {rate:g}"
    )
