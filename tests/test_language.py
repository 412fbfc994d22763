"""Language models of every kind of cache are timed token by token, at a length that stays."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from test_models import prompt

from modelbench.measurement.compute.counting import count_phase
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.timing.timing import sampler
from modelbench.phases.language import Generate, decode
from modelbench.results import Skip

SMALL = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "bos_token_id": 0,
    "eos_token_id": [7, 8], "pad_token_id": None,
}  # fmt: skip
HEADS = {
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 48,
}  # fmt: skip
MIXED = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
    "mlp_only_layers": [0, 1],
}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "full": ("Llama", HEADS, "DynamicCache"),
    "sliding": ("Mistral", {**HEADS, "sliding_window": 4}, "DynamicCache"),
    "recurrent": ("Mamba", {"state_size": 4, "time_step_rank": 4}, "DynamicCache"),
    "hybrid": ("Qwen3Next", {**HEADS, **MIXED}, "DynamicCache"),
}


def family(name: str, **more: Any) -> Any:
    """Build a small model of a family."""
    torch.manual_seed(0)
    start, settings, _ = FAMILIES[name]
    config = getattr(transformers, f"{start}Config")(**{**SMALL, **settings, **more})
    return getattr(transformers, f"{start}ForCausalLM")(config).eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_token_sees_the_same_cache(name: str) -> None:
    """And continues the prompt: as the whole text gives it, call after call."""
    model, batch = family(name), prompt(9)
    with torch.inference_mode():
        step = decode(model, batch)
        logits = []
        for _ in range(4):
            step.rewind()
            logits.append(step())
        read = model(**batch.kwargs).logits[:, -1:].argmax(-1)
        whole = model(torch.cat([batch.kwargs["input_ids"], read], dim=1)).logits[:, -1:]
    for each in logits:
        torch.testing.assert_close(each, whole, rtol=1e-4, atol=1e-5)
    assert step.details["cache_length"] == 9
    assert step.notes == ["one token after 9, with the cache kept at that length"]


@pytest.mark.parametrize("name", FAMILIES)
def test_their_macs_are_those_of_running_them(name: str) -> None:
    """On shapes alone, of a token and of a whole generation with several end tokens."""
    model, batch = family(name), prompt(9)
    phases: list[Callable[[Any, Any], Any]] = [decode, lambda m, b: Generate(m, b, new_tokens=3)]
    for phase in phases:
        real, shapes = (count_phase(phase, model, batch, quick=quick) for quick in (True, False))
        assert real is not None
        assert shapes is not None
        assert real.total == shapes.total > 0
        assert not real.uncounted


@pytest.mark.parametrize("ends", [[7, 8], 7, None])
def test_generation_writes_its_tokens_whatever_ends_a_text(ends: Any) -> None:
    """A list of tokens, one, or none at all."""
    call = Generate(family("full", eos_token_id=ends), prompt(9), new_tokens=5)
    with torch.inference_mode():
        assert call().shape == (2, 14)


def test_bringing_the_cache_back_is_not_timed() -> None:
    """It comes before the clock starts, and once a sample."""
    seen: list[str] = []

    class Call:
        def rewind(self) -> None:
            seen.append("rewind")

        def __call__(self) -> None:
            seen.append("call")

    sample = sampler(Call(), torch.device("cpu"), lambda: seen.append("clock"))
    sample()
    sample()
    assert seen == ["rewind", "clock", "call"] * 2


def test_models_without_a_cache_or_generate_leave_that_out() -> None:
    """With the reason; their MACs are those of reading all anew for each token."""
    config = transformers.OpenAIGPTConfig(
        n_embd=32, n_layer=1, n_head=2, vocab_size=300, n_positions=40
    )
    model, batch = transformers.OpenAIGPTLMHeadModel(config).eval(), prompt(9)
    with pytest.raises(Skip, match="OpenAIGPTLMHeadModel returns no cache"):
        decode(model, batch)
    found = count_phase(lambda m, b: Generate(m, b, new_tokens=3), model, batch, quick=False)
    assert found is not None
    assert found.total == count_macs(model, Generate(model, batch, new_tokens=3)).total
    with pytest.raises(Skip, match="has no method generate"):
        Generate(SimpleNamespace(config=config), batch)


def test_layers_for_several_tokens_at_once_are_left_out_with_a_word() -> None:
    """The configuration of the text says how many there are, and how many positions."""
    text = SimpleNamespace(max_position_embeddings=12, num_nextn_predict_layers=1)
    config = SimpleNamespace(get_text_config=lambda decoder: text)
    model = SimpleNamespace(config=config, generate=print)
    call = Generate(model, prompt(9))
    assert call.notes == ["token by token: its 1 multi-token prediction layers are not used"]
    with pytest.raises(Skip, match="the prompt's 12 tokens fill all positions"):
        Generate(model, prompt(12))
