"""What an encoder and a decoder of transformers do: read the input, then write token by token."""

from __future__ import annotations

import inspect
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from modelbench.batch import Batch
from modelbench.phases.writing import Clock, end_token
from modelbench.results import Metric, Skip


def encode(model: Any, batch: Batch) -> Callable[[], Any]:
    """Read the input."""
    encoder = model.get_encoder()
    takes = inspect.signature(encoder.forward).parameters
    given = {name: tensor for name, tensor in _read(batch).items() if name in takes}
    if not given:  # it calls its input otherwise than the whole model does
        given = {next(iter(takes)): next(iter(_read(batch).values()))}
    return partial(encoder, **given)


def decode(model: Any, batch: Batch) -> Callable[[], Any]:
    """Write one token after those of the batch, whose keys and values are in the cache already."""
    with torch.inference_mode():
        written = batch.call(partial(model, use_cache=True))
    cache = getattr(written, "past_key_values", None)
    if cache is None or not hasattr(cache, "crop"):
        raise Skip("the model gives no cache of keys and values that a decoder could go on from")
    encoded = (written.encoder_last_hidden_state,)
    token = written.logits[:, -1:].argmax(-1)

    def step() -> Tensor:
        further = model(
            encoder_outputs=encoded, decoder_input_ids=token, past_key_values=cache, use_cache=True
        )
        cache.crop(-1)
        logits: Tensor = further.logits
        return logits

    return step


class Generate:
    """Read the input and write `new_tokens` greedily."""

    def __init__(self, model: Any, batch: Batch, new_tokens: int = 32) -> None:
        self._model, self._batch, self._new_tokens = model, batch, new_tokens
        self._generate = partial(
            model.generate,
            do_sample=False,
            num_beams=1,
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            pad_token_id=end_token(model),
        )
        self._runs: list[list[float]] = []

    def __call__(self) -> Any:
        """Generate once, noting when each token comes."""
        clock = Clock()
        tokens = self._generate(**_read(self._batch), streamer=clock)
        self._runs.append(clock.times)
        return tokens

    def figures(self, samples: int) -> dict[str, Metric]:
        """Give the times to the first and per further token, and the rate, of the last calls."""
        runs = self._runs[-samples:]
        first = statistics.median(times[1] - times[0] for times in runs)
        whole = statistics.median(times[-1] - times[0] for times in runs)
        count = len(runs[-1]) - 1
        figures = {"ttft_ms": Metric(first * 1e3, "ms")}
        if count > 1:
            each = statistics.median((t[-1] - t[1]) / (len(t) - 2) for t in runs)
            figures["tpot_ms"] = Metric(each * 1e3, "ms")
        samples_in = len(next(iter(self._batch.named().values())))
        return figures | {"tokens_per_s": Metric(samples_in * count / whole, "1/s")}


def _read(batch: Batch) -> dict[str, Tensor]:
    """Give what the encoder reads."""
    return {n: t for n, t in batch.named().items() if not n.startswith("decoder_")}
