"""What an encoder and a decoder of transformers do: read the input, then write token by token."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.phases.remembered import Remembered
from modelbench.phases.writing import Writing
from modelbench.results import Skip


def encode(model: Any, batch: Batch) -> Callable[[], Any]:
    """Read the input; raises Skip where the encoder alone does not take all of it."""
    encoder, given = model.get_encoder(), _read(batch)
    takes = inspect.signature(encoder.forward).parameters
    if len(given) == 1 and not given.keys() <= takes.keys():  # it may call it otherwise
        given = {next(iter(takes)): next(iter(given.values()))}
    if not given.keys() <= takes.keys():
        raise Skip(f"{type(encoder).__name__} does not take {', '.join(given.keys() - takes)}")
    return partial(encoder, **given)


class Decoding:
    """Writes one token after those of the batch, whose keys and values are in the cache already."""

    def __init__(self, model: Any, batch: Batch) -> None:
        with torch.inference_mode():
            encoded = encode(model, batch)()
            written = batch.call(partial(model, use_cache=True))
        cache = getattr(written, "past_key_values", None)
        if cache is None:
            raise Skip(f"{type(model).__name__} returns no cache, so no token can be timed alone")
        self._model, self._encoded = model, encoded
        self._state = Remembered({"past_key_values": cache})
        self._token = written.logits[:, -1:].argmax(-1)
        length = batch.named()["decoder_input_ids"].shape[1]
        self.notes = [f"one token after {length:,}, with the cache kept at that length"]
        self.details = {"cache_length": length, "cache": self._state.kind}

    def rewind(self) -> None:
        """Forget the token that was written; not to be timed."""
        self._state.rewind()

    def __call__(self) -> Tensor:
        """Write the token."""
        written = self._model(
            encoder_outputs=self._encoded, decoder_input_ids=self._token, use_cache=True,
            **self._state.take(),
        )  # fmt: skip
        logits: Tensor = written.logits
        return logits


class Generate(Writing):
    """Reads the input and writes `new_tokens` greedily."""

    def __init__(self, model: Any, batch: Batch, new_tokens: int = 32) -> None:
        given = _read(batch)
        settings = model.generation_config
        starts = (settings.decoder_start_token_id, settings.bos_token_id)
        first = int(batch.named()["decoder_input_ids"].flatten()[0])
        begins = {} if any(s is not None for s in starts) else {"decoder_start_token_id": first}
        generate = partial(
            model.generate, **given, **begins, do_sample=False, num_beams=1,
            max_new_tokens=new_tokens, min_new_tokens=new_tokens,
        )  # fmt: skip
        count = len(next(iter(given.values())))
        super().__init__(lambda clock: generate(streamer=clock), count)


def _read(batch: Batch) -> dict[str, Tensor]:
    """Return what the encoder reads."""
    return {n: t for n, t in batch.named().items() if not n.startswith("decoder_")}
