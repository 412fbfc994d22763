"""Token ids, from a text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelbench.inputs.draw import Draw

TEXT = (
    "A model is measured before it is trusted. Its weights are counted, its layers are timed, "
    "and what it needs in memory is written down, so that whoever trains it next, or ships it "
    "to a phone, knows beforehand what will happen. "
)
OTHER_TEXT = (
    "The harbour was quiet that morning; three boats lay at the quay and 42 gulls waited for them. "
    '"Where did you find it?" she asked, but nobody could say, least of all the old captain, who '
    "had sailed these waters since 1968 and trusted neither charts nor weather reports. "
)


@dataclass(frozen=True)
class Tokens:
    """Token ids: int64, `[batch_size, sequence_length]`, of a text.

    Without a tokenizer they are the text's UTF-8 bytes modulo the vocabulary, each sample starting
    one byte later than the one before, and `end` is the last token of each, for models that look
    for it. With one, each sample starts one word later. The text is repeated or cut to the length.
    """

    vocab_size: int
    end: int | None = None
    tokenizer: str | None = None
    """Folder of a transformers tokenizer."""
    pad: bool = False
    """Fill up with the tokenizer's padding instead of repeating the text."""
    special: tuple[int, ...] = ()
    """Tokens that mean something else than text, and so are none of it without a tokenizer."""
    several: int | None = None
    """Texts in a sample, `[batch_size, several, sequence_length]`, such as the answers to choose
    from."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size", "sequence_length")

    def __call__(self, draw: Draw) -> Tensor:
        """Turn the text into tokens."""
        rows, length = draw.sizes["batch_size"] * (self.several or 1), draw.sizes["sequence_length"]
        if self.tokenizer is not None:
            tokens = _tokenized(self._text(draw), rows, length, self.tokenizer, pad=self.pad)
            if int(tokens.max()) >= self.vocab_size:
                raise ValueError(
                    f"the tokenizer in {self.tokenizer} returns token {int(tokens.max())}, but "
                    f"the model's vocabulary has {self.vocab_size}: it belongs to another model"
                )
        else:
            tokens = self._bytes(draw, rows, length)
        return tokens.reshape(-1, self.several, length) if self.several else tokens

    def _bytes(self, draw: Draw, rows: int, length: int) -> Tensor:
        text = torch.tensor(list(self._text(draw).encode()), dtype=torch.int64)
        places = torch.arange(rows)[:, None] + torch.arange(length)[None, :]
        tokens = text[places % len(text)] % self.vocab_size
        if self.special:
            plain = [n for n in range(min(self.vocab_size, 256)) if n not in self.special]
            allowed = torch.tensor(plain or [0])
            tokens = torch.where(
                torch.isin(tokens, torch.tensor(self.special)),
                allowed[tokens % len(allowed)],
                tokens,
            )
        if self.end is not None:
            tokens[:, -1] = self.end
        return tokens

    def _text(self, draw: Draw) -> str:
        if draw.calibration is None:
            return draw.text or TEXT
        words = OTHER_TEXT.split()
        first = 7 * draw.calibration % len(words)
        return " ".join(words[first:] + words[:first]) + " "

    def note(self, draw: Draw) -> str:
        """Return whether a tokenizer was at work."""
        if self.tokenizer is not None:
            return "text tokenized by the checkpoint's tokenizer"
        size, length = len((draw.text or TEXT).encode()), draw.sizes["sequence_length"]
        done = "truncated" if length < size else "repeated"
        return f"no tokenizer: the text's {size} UTF-8 bytes, {done} to {length} tokens"


def _tokenized(text: str, batch: int, length: int, folder: str, *, pad: bool) -> Tensor:
    """Tokenize to exactly `length`, special tokens included; raises ValueError where it cannot."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = text.split() or [text]
    rows = [" ".join(words[i % len(words) :] + words[: i % len(words)]) for i in range(batch)]
    if not pad:  # no word makes less than a token
        rows = [" ".join([row] * (length // len(words) + 1)) for row in rows]
    filled = tokenizer(
        rows,
        truncation=True,
        max_length=length,
        padding="max_length" if pad else False,
        return_tensors="pt",
    )
    tokens: Tensor = filled["input_ids"]
    if tokens.shape != (batch, length):
        found = list(tokens.shape)
        raise ValueError(
            f"the tokenizer in {folder} returned shape {found}, expected [{batch}, {length}]"
        )
    return tokens
