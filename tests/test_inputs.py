"""Inputs have the shapes, types and values that they promise, and repeat."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image as Pillow

from modelbench.inputs import TEXT, Draw, Image, Labels, Noise, Source, Tokens

SIZES = {"batch_size": 3, "image_size": 24, "sequence_length": 10}


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_photograph(channels: int) -> None:
    """Real pixels in 0..1, no two samples alike."""
    pixels = Image(channels)(Draw(SIZES))
    assert pixels.shape == (3, channels, 24, 24)
    assert pixels.dtype == torch.float32
    assert 0 <= pixels.min() < 0.3
    assert 0.7 < pixels.max() <= 1
    assert not torch.equal(pixels[0], pixels[1])
    if channels == 5:
        assert torch.equal(pixels[:, 0], pixels[:, 3])


def test_a_picture_of_ones_own(tmp_path: Path) -> None:
    """The centre square, resized, in the picture's own colours."""
    file = tmp_path / "red.png"
    picture = Pillow.new("RGBA", (40, 20), "blue")
    picture.paste("red", (10, 0, 30, 20))
    picture.save(file)
    pixels = Image(3)(Draw(SIZES | {"batch_size": 1}, image=file))
    assert torch.equal(pixels[0, :, 12, 12], torch.tensor([1.0, 0.0, 0.0]))
    assert pixels[0, 2].max() == 0  # nothing of the blue sides


def test_tokens_are_the_bytes_of_the_text() -> None:
    """Repeated to the length, modulo the vocabulary, each sample a byte later."""
    tokens = Tokens(256)(Draw(SIZES, text="abc"))
    assert tokens.dtype == torch.int64
    assert tokens[0].tolist() == list(b"abcabcabca")
    assert tokens[1].tolist() == list(b"bcabcabcab")
    assert Tokens(256)(Draw(SIZES))[0].tolist() == list(TEXT.encode()[:10])
    assert Tokens(100)(Draw(SIZES, text="é"))[0, 0] == "é".encode()[0] % 100


def test_labels_and_noise() -> None:
    """In range, and of the shape that the axes give."""
    labels = Labels(4)(Draw({"batch_size": 200}))
    assert set(labels.tolist()) == {0, 1, 2, 3}
    noise = Noise(("batch_size", 7, "image_size"))
    assert noise.axes() == ("batch_size", "image_size")
    assert noise(Draw(SIZES)).shape == (3, 7, 24)


@pytest.mark.parametrize("source", [Image(3), Tokens(50), Labels(9), Noise(("batch_size", 4))])
def test_the_same_draw_gives_the_same_values(source: Source) -> None:
    """What a run saw can be seen again."""
    assert torch.equal(source(Draw(SIZES, seed=5)), source(Draw(SIZES, seed=5)))


@pytest.mark.parametrize("source", [Image(3), Labels(9), Noise(("batch_size", 4))])
def test_another_seed_gives_other_values(source: Source) -> None:
    """Where chance has a part, the seed decides."""
    assert not torch.equal(source(Draw(SIZES, seed=5)), source(Draw(SIZES, seed=6)))


def test_an_axis_divided() -> None:
    """As the latents of an image are."""
    noise = Noise(("batch_size", 4, "image_size/8", "image_size/8"))
    assert noise.axes() == ("batch_size", "image_size")
    assert noise(Draw(SIZES)).shape == (3, 4, 3, 3)
    with pytest.raises(ValueError, match="expected an integer, an axis, or a divided axis"):
        Noise(("image_size/0",))
