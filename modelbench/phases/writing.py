"""What models that write token by token have in common."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

from torch import Tensor

from modelbench.results import Metric


class Writing:
    """Calls what writes, noting when each token comes."""

    def __init__(self, generate: Callable[[Any], Any], samples: int) -> None:
        """Take what writes when given a streamer, and how many samples it writes at once."""
        self._generate, self._samples = generate, samples
        self._runs: list[list[float]] = []

    def __call__(self) -> Any:
        """Write once."""
        clock = _Clock()
        tokens = self._generate(clock)
        self._runs.append(clock.times)
        return tokens

    def figures(self, samples: int) -> dict[str, Metric]:
        """Return the times to the first and per further token, and the rate, of the last calls."""
        runs = self._runs[-samples:]
        first = statistics.median(times[1] - times[0] for times in runs)
        whole = statistics.median(times[-1] - times[0] for times in runs)
        figures = {"ttft_ms": Metric(first * 1e3, "ms")}
        count = statistics.median(len(times) - 1 for times in runs)
        if count > 1:
            each = statistics.median((t[-1] - t[1]) / (len(t) - 2) for t in runs if len(t) > 2)
            figures["tpot_ms"] = Metric(each * 1e3, "ms")
        return figures | {"tokens_per_s": Metric(self._samples * count / whole, "1/s")}


class _Clock:
    """A streamer, as `generate` wants one; it is given the prompt first, then each token."""

    def __init__(self) -> None:
        self.times: list[float] = [perf_counter()]

    def put(self, value: Tensor) -> None:
        """Note the time; the prompt comes back at once and is no token."""
        if value.ndim == 1:
            self.times.append(perf_counter())

    def end(self) -> None:
        """Do nothing: the last token has its time."""
