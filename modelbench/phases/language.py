"""What a causal language model of transformers does: read a prompt, then write token by token."""

from __future__ import annotations

import inspect
import statistics
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from modelbench.batch import Batch
from modelbench.results import Metric, Skip


def prefill(model: Any, batch: Batch) -> Callable[[], Any]:
    """Read the whole prompt at once and fill the key-value cache."""
    return partial(batch.call, partial(model, use_cache=True))


def decode(model: Any, batch: Batch) -> Callable[[], Any]:
    """Write one token after the prompt, whose keys and values are in the cache already.

    Each call takes its token out of the cache again, so that all samples see the same length.
    """
    _room(model, batch)
    with torch.inference_mode():
        read = prefill(model, batch)()
    cache, token = read.past_key_values, read.logits[:, -1:].argmax(-1)

    def step() -> Tensor:
        written = model(input_ids=token, past_key_values=cache, use_cache=True)
        cache.crop(-1)
        logits: Tensor = written.logits
        return logits

    return step


class Generate:
    """Read the prompt and write `new_tokens` greedily, fewer where the positions end."""

    def __init__(self, model: Any, batch: Batch, new_tokens: int = 32) -> None:
        self._new_tokens = min(new_tokens, _room(model, batch))
        self._model, self._batch = model, batch
        self._generate = partial(
            model.generate,
            do_sample=False,
            max_new_tokens=self._new_tokens,
            min_new_tokens=self._new_tokens,
            pad_token_id=model.config.eos_token_id,
            attention_mask=torch.ones_like(_tokens(batch)),
        )
        self._runs: list[list[float]] = []

    def __call__(self) -> Any:
        """Generate once, noting when each token comes."""
        clock = _Clock()
        tokens = self._batch.call(partial(self._generate, streamer=clock))
        self._runs.append(clock.times)
        return tokens

    def on_shapes(self) -> Any:
        """Do the same with the tokens left open, of which each but the last is read again."""
        # As `generate` does where the model can: of the prompt only the last logits are wanted.
        keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        last = {"logits_to_keep": 1} if keeps else {}
        read = self._batch.call(partial(self._model, use_cache=True, **last))
        token = _tokens(self._batch)[:, -1:]
        for _ in range(self._new_tokens - 1):
            read = self._model(input_ids=token, past_key_values=read.past_key_values)
        return read.logits

    def figures(self, samples: int) -> dict[str, Metric]:
        """Give the times to the first and per further token, and the rate, of the last calls."""
        runs = self._runs[-samples:]
        first = statistics.median(times[1] - times[0] for times in runs)
        whole = statistics.median(times[-1] - times[0] for times in runs)
        figures = {"ttft_ms": Metric(first * 1e3, "ms")}
        if self._new_tokens > 1:
            each = statistics.median((t[-1] - t[1]) / (self._new_tokens - 1) for t in runs)
            figures["tpot_ms"] = Metric(each * 1e3, "ms")
        rate = len(_tokens(self._batch)) * self._new_tokens / whole
        return figures | {"tokens_per_s": Metric(rate, "1/s")}


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


def _tokens(batch: Batch) -> Tensor:
    tokens = batch.named().get("input_ids")
    if tokens is None:
        raise TypeError("the phases of language models need an input called input_ids")
    return tokens


def _room(model: Any, batch: Batch) -> int:
    """Tell how many tokens can follow the prompt; raises Skip where none can."""
    length = _tokens(batch).shape[1]
    room = int(getattr(model.config, "max_position_embeddings", 1 << 30)) - length
    if room < 1:
        raise Skip(f"the prompt's {length:,} tokens take up every position of the model")
    return room
