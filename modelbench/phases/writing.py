"""What models that write token by token have in common."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from torch import Tensor


class Clock:
    """A streamer, as `generate` wants one; notes when each token comes.

    Where the prompt is given back first, all at once, that is no token.
    """

    def __init__(self) -> None:
        self.times: list[float] = [perf_counter()]

    def put(self, value: Tensor) -> None:
        """Note the time."""
        if value.ndim == 1:
            self.times.append(perf_counter())

    def end(self) -> None:
        """Do nothing: the last token has its time."""


def end_token(model: Any) -> int:
    """Give the token that ends a text, the first where there are several, or 0 for none."""
    found = getattr(model.generation_config, "eos_token_id", None)
    if found is None:
        found = getattr(model.config, "eos_token_id", None)
    if isinstance(found, list | tuple):
        found = found[0] if found else None
    return 0 if found is None else int(found)
