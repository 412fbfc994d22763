"""What a model of transformers reads as text."""

from __future__ import annotations

from modelbench.models.huggingface.files import Keys
from modelbench.models.huggingface.subject import Inputs, Subject, source

POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length",
             "max_seq_length", "n_ctx", "max_target_positions", "block_size")  # fmt: skip
VOCABULARIES = ("vocab_size", "n_vocab", "text_vocab_size", "token_vocab_size", "n_tokens")
BYTES = 256
"""Tokens of a model that names no vocabulary, since it reads characters."""
USUAL = 128
"""Tokens, where there are so many positions."""
SEEN = {"image": ("image_token_id", "image_token_index", "media_placeholder_token_id"),
        "audio": ("audio_token_id", "audio_token_index")}  # fmt: skip
"""By what is seen or heard: the keys of its placeholder's token."""


def tokens(subject: Subject) -> Inputs:
    """Return the source of `input_ids`."""
    return {"input_ids": _tokens(subject, end=_end(subject))}


def decoder_tokens(subject: Subject) -> Inputs:
    """Return the source of `decoder_input_ids`."""
    return {"decoder_input_ids": _tokens(subject, inner="decoder")}


def prompt(subject: Subject, sense: str, step: int | None = None) -> Inputs:
    """Return the source of a text with placeholders for an image or for sound.

    With `step`, there is one for each square of so many pixels; else the model is asked.
    """
    settings = subject.settings
    token = next((settings.find(key) for key in SEEN[sense] if settings.has(key)), None)
    if token is None:
        return tokens(subject)
    plain = _tokens(subject)
    placeholders = source(
        "Prompt", **{k: v for k, v in plain.items() if k != "_target_"}, placeholder=token,
        step=step, asks=None if step else f"get_{sense}_features", around=_around(subject, sense),
    )  # fmt: skip
    found = {"input_ids": placeholders}
    if "mm_token_type_ids" in subject.takes:
        found["mm_token_type_ids"] = {
            **placeholders, "_target_": "modelbench.inputs.Placeholders"
        }  # fmt: skip
    return found


def axes(subject: Subject) -> Keys:
    """Return the axis of a text, and how long it may be."""
    own = subject.settings.within("text", "decoder", "llm", "language")
    positions = own.number(*POSITIONS) or subject.settings.number(*POSITIONS)
    if positions is not None and subject.says("create_position_ids_from_input_ids"):
        # They are numbered from the padding token's on.
        positions -= (own.number("pad_token_id") or 1) + 1
    return {
        "axes": {"sequence_length": max(1, min(USUAL, positions or USUAL))},
        "limits": {"sequence_length": {"max": positions} if positions and positions > 0 else {}},
    }


def _tokens(subject: Subject, inner: str = "text", end: int | None = None) -> Keys:
    part = subject.settings.within(inner, "text", "encoder", "llm", "language")
    vocabulary = part.number(*VOCABULARIES) or subject.settings.number(*VOCABULARIES)
    if vocabulary is None:
        vocabulary = BYTES
    plain = subject.found.tokens({"vocab_size": vocabulary}, pad=_padded(subject))
    special = {
        value
        for keys in SEEN.values() for key in (*keys, "video_token_id", "video_token_index")
        if type(value := subject.settings.find(key)) is int
    }  # fmt: skip
    if special:
        plain["special"] = sorted(special)
    if "tokenizer" not in plain and end is not None and 0 <= end < vocabulary:
        plain["end"] = end
    if subject.kind.name.endswith("MultipleChoice"):
        plain["several"] = 2
    return plain


def _end(subject: Subject) -> int | None:
    """Return the token that has to end a text: that of a contrast, or of an encoder with a head."""
    text = subject.settings.within("text")
    if subject.kind.has("get_text_features") and not subject.generates:
        eos = text.own.get("eos_token_id")
        # CLIP looks for its greatest token where its configuration is of before it had one.
        greatest = (text.number("vocab_size") or 1) - 1
        return greatest if eos in (None, 2) else eos
    if subject.decodes and "Classification" in subject.kind.name:
        eos = subject.settings.find("eos_token_id")
        return eos if type(eos) is int else None
    return None


def _padded(subject: Subject) -> bool:
    return subject.kind.has("get_text_features") and not subject.generates


def _around(subject: Subject, sense: str) -> list[list[int]] | None:
    """Return the tokens before and behind the placeholders, where the configuration has both."""
    names = {"image": ("vision", "image"), "audio": ("audio",)}[sense]
    for name in names:
        ends = [
            next((v for k in keys if type(v := subject.settings.find(f"{name}_{k}")) is int), None)
            for keys in (("start_token_id", "bos_token_id"), ("end_token_id", "eos_token_id"))
        ]
        if all(end is not None for end in ends):
            return [[end] for end in ends if end is not None]
    return None
