"""What a causal language model of transformers does: read a prompt, then write token by token."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.phases.remembered import Remembered
from modelbench.phases.writing import Writing
from modelbench.results import Skip

POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
AT_ONCE = ("num_mtp_layers", "num_nextn_predict_layers")
"""Keys of configurations: of how many positions there are, of layers for several tokens ahead."""


def prefill(model: Any, batch: Batch) -> Callable[[], Any]:
    """Read the whole prompt at once and fill the cache."""
    return partial(batch.call, partial(model, **_keeping(model)))


def decode(model: Any, batch: Batch) -> Decoding:
    """Write one token after the prompt, which is in the cache already."""
    return Decoding(model, batch)


class Decoding:
    """Writes one token after the prompt, which is in the cache already.

    The cache is one of keys and values, or of whatever state the model carries on. Before each
    call it is brought back to what it was after the prompt, so that all samples see the same
    length.
    """

    def __init__(self, model: Any, batch: Batch) -> None:
        _room(model, batch)
        with torch.inference_mode():
            read = prefill(model, batch)()
        carried = _carried(model, read)
        if not carried:
            raise Skip(f"{type(model).__name__} returns no cache, so no token can be timed alone")
        self._model, self._state = model, Remembered(carried)
        self._token = read.logits[:, -1:].argmax(-1)
        length = _tokens(batch).shape[1]
        self.notes = [f"one token after {length:,}, with the cache kept at that length"]
        self.details = {"cache_length": length, "cache": self._state.kind}

    def rewind(self) -> None:
        """Forget the token that was written; not to be timed."""
        self._state.rewind()

    def __call__(self) -> Tensor:
        """Write the token."""
        written = self._model(input_ids=self._token, **self._state.take(), **_keeping(self._model))
        logits: Tensor = written.logits
        return logits


class Generate(Writing):
    """Read the prompt and write `new_tokens` greedily, fewer where the positions end."""

    def __init__(self, model: Any, batch: Batch, new_tokens: int = 32) -> None:
        if not callable(getattr(model, "generate", None)):
            raise Skip(f"{type(model).__name__} has no method generate")
        self._new_tokens = min(new_tokens, _room(model, batch))
        self._model, self._batch = model, batch
        generate = partial(
            model.generate,
            do_sample=False,
            num_beams=1,
            max_new_tokens=self._new_tokens,
            min_new_tokens=self._new_tokens,
            attention_mask=torch.ones_like(_tokens(batch)),
        )
        super().__init__(
            lambda clock: batch.call(partial(generate, streamer=clock)), len(_tokens(batch))
        )
        ahead = _setting(model, AT_ONCE)
        left_out = f"token by token: its {ahead} multi-token prediction layers are not used"
        self.notes = [left_out] if ahead else []

    def on_shapes(self) -> Any:
        """Do the same with the tokens left open, of which each but the last is read again."""
        # As `generate` does where the model can: of the prompt only the last logits are wanted.
        last = {"logits_to_keep": 1} if _accepts(self._model, "logits_to_keep") else {}
        caches = getattr(self._model.generation_config, "use_cache", True)
        asked = last | (_keeping(self._model) if caches else {})
        read = self._batch.call(partial(self._model, **asked))
        tokens = _tokens(self._batch)
        for _ in range(self._new_tokens - 1):
            carried = _carried(self._model, read) if caches else {}
            if caches and not carried and _hides(self._model):
                raise TypeError("it keeps its cache internally, so what it reads again is unknown")
            tokens = torch.cat([tokens, tokens[:, -1:]], dim=1)
            next_one = tokens[:, -1:] if carried else tokens  # without a cache all is read anew
            read = self._model(input_ids=next_one, **carried, **asked)
        return read.logits


def _tokens(batch: Batch) -> Tensor:
    tokens = batch.named().get("input_ids")
    if tokens is None:
        raise TypeError("the phases of language models need an input called input_ids")
    return tokens


def _keeping(model: Any) -> dict[str, bool]:
    """Return what asks the model for its cache; some always give it, and some have none."""
    return {"use_cache": True} if _accepts(model, "use_cache") else {}


def _carried(model: Any, read: Any) -> dict[str, Any]:
    """Return what the next call takes of the outputs of the last one, whatever a model calls it."""
    if not isinstance(read, Mapping):
        raise Skip(f"{type(model).__name__} returns its outputs without names")
    return {
        name: value for name, value in read.items() if value is not None and _accepts(model, name)
    }


def _hides(model: Any) -> bool:
    """Return whether a model that returned no cache may have one all the same."""
    return getattr(model, "_is_stateful", False) or _accepts(model, "past_key_values")


def _accepts(model: Any, name: str) -> bool:
    """Return whether forward takes an argument, among the others where it is one that all know."""
    takes = inspect.signature(model.forward).parameters
    others = any(each.kind is each.VAR_KEYWORD for each in takes.values())
    return name in takes or (others and name in ("use_cache", "past_key_values", "cache_params"))


def _setting(model: Any, names: tuple[str, ...]) -> int | None:
    """Look up a number in the model's configuration, in that of its text where it has several."""
    config = model.config
    if hasattr(config, "get_text_config"):
        config = config.get_text_config(decoder=True)
    found = (getattr(config, name, None) for name in names)
    return next((int(value) for value in found if value), None)


def _room(model: Any, batch: Batch) -> int:
    """Return how many tokens can follow the prompt; raises Skip where none can."""
    length = _tokens(batch).shape[1]
    room = (_setting(model, POSITIONS) or 1 << 30) - length
    if room < 1:
        raise Skip(f"the prompt's {length:,} tokens fill all positions of the model")
    return room
