"""The models of transformers: exact MACs at full size, phases and losses on small ones."""

from __future__ import annotations

import math

import pytest
import torch
import transformers
from checkpoints import clip, gpt2
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modelbench.inputs import Draw, Tokens
from modelbench.inputs.batch import Batch
from modelbench.losses import contrastive, mean_square, next_token
from modelbench.measurement.compute.flops import count_macs
from modelbench.phases.contrastive import image_encode, text_encode
from modelbench.phases.language import Generate, decode, prefill
from modelbench.results import Skip


def prompt(length: int, batch: int = 2) -> Batch:
    """Make a batch of tokens."""
    sizes = {"batch_size": batch, "sequence_length": length}
    return Batch((), {"input_ids": Tokens(300)(Draw(sizes))})


def pairs() -> Batch:
    """Make two images with their texts."""
    tokens = Tokens(300, end=299)(Draw({"batch_size": 2, "sequence_length": 7}))
    return Batch((), {"pixel_values": torch.rand(2, 3, 32, 32), "input_ids": tokens})


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_gpt2_at_1024_tokens(attention: str) -> None:
    """145,824,153,600 MACs and 124,439,808 parameters, whichever attention runs."""
    with FakeTensorMode():
        config = transformers.GPT2Config(attn_implementation=attention)
        model = transformers.GPT2LMHeadModel(config).eval()
        tokens = torch.zeros(1, 1024, dtype=torch.int64)
        found = count_macs(model, lambda: model(input_ids=tokens))
    assert found.total == 145_824_153_600
    assert not found.uncounted
    assert sum(p.numel() for p in model.parameters()) == 124_439_808


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_clip_with_one_image_and_77_tokens(attention: str) -> None:
    """7.3886 G MACs and 151,277,313 parameters."""
    with FakeTensorMode():
        config = transformers.CLIPConfig(attn_implementation=attention)
        model = transformers.CLIPModel(config).eval()
        tokens, image = torch.zeros(1, 77, dtype=torch.int64), torch.rand(1, 3, 224, 224)
        found = count_macs(model, lambda: model(input_ids=tokens, pixel_values=image))
    assert round(found.total / 1e9, 4) == 7.3886
    assert not found.uncounted
    assert sum(p.numel() for p in model.parameters()) == 151_277_313


def test_decoding_continues_the_prompt() -> None:
    """One cached token gives what the whole sequence gives, and each call sees the same cache."""
    model, batch = gpt2(), prompt(9)
    with torch.inference_mode():
        step = decode(model, batch)
        logits = [step() for _ in range(3)]
        read = prefill(model, batch)().logits
        longer = torch.cat([batch.kwargs["input_ids"], read[:, -1:].argmax(-1)], dim=1)
        whole = model(input_ids=longer).logits
    for each in logits:
        torch.testing.assert_close(each, whole[:, -1:])


def test_generation_tells_its_times() -> None:
    """The first token, the others, and the rate fit together; the text has its length."""
    call = Generate(gpt2(), prompt(9), new_tokens=5)
    with torch.inference_mode():
        tokens = [call() for _ in range(3)]
    assert tokens[0].shape == (2, 14)
    figures = {name: metric.value for name, metric in call.figures(1).items()}
    whole = figures["ttft_ms"] + 4 * figures["tpot_ms"]
    assert figures["tokens_per_s"] == pytest.approx(2 * 5 / whole * 1e3)


def test_a_prompt_that_fills_the_positions() -> None:
    """Fewer tokens where the positions end, and a reason where there is none left."""
    call = Generate(gpt2(), prompt(38), new_tokens=5)
    with torch.inference_mode():
        assert call().shape == (2, 40)
    for phase in (decode, Generate):
        with pytest.raises(Skip, match="the prompt's 40 tokens fill all positions"):
            phase(gpt2(), prompt(40))


def test_clip_encodes_either_side() -> None:
    """As its forward does: the same embeddings, up to their length."""
    model, batch = clip(), pairs()
    with torch.inference_mode():
        whole = batch.call(model)
        image, text = (phase(model, batch)() for phase in (image_encode, text_encode))
    for alone, together in ((image, whole.image_embeds), (text, whole.text_embeds)):
        embedding = getattr(alone, "pooler_output", alone)
        torch.testing.assert_close(nn.functional.normalize(embedding, dim=-1), together)


def test_losses_are_those_of_transformers() -> None:
    """Next token and contrastive, against the models' own; an untrained GPT-2 is near ln(vocab)."""
    model, batch = gpt2(), prompt(9)
    own = model(**batch.kwargs, labels=batch.kwargs["input_ids"])
    torch.testing.assert_close(next_token(own, batch), own.loss)
    assert own.loss.item() == pytest.approx(math.log(300), rel=0.1)
    both = pairs()
    own = clip()(**both.kwargs, return_loss=True)
    torch.testing.assert_close(contrastive(own, both), own.loss)


def test_the_default_loss() -> None:
    """Any floating output will do, and without one there is no loss."""
    batch = Batch((), {})
    outputs = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3])}
    assert mean_square(outputs, batch) == 2.5
    with pytest.raises(TypeError, match="no output is floating-point"):
        mean_square({"b": torch.tensor([3])}, batch)
