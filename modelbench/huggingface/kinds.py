"""The kinds of models in transformers: what each takes and gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from modelbench.huggingface.files import Files, Keys, like, not_understood

# Vision transformers that learn a position for each patch, and take no other size.
FIXED_SIZE = {"beit", "clip", "clip_vision_model", "deit", "siglip", "siglip_vision_model", "vit"}

# Encoders that number their positions from the padding token's on, and so have fewer.
AFTER_PADDING = {"camembert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta"}


def causal_language_model(found: Files, config: Keys) -> Keys:
    """Describe what predicts the next token, as `gpt2` does."""
    text, as_gpt2 = _text_axes(config), like("gpt2", "new_tokens", "phases", "loss")
    positions = text["limits"]["sequence_length"].get("max", 1024)
    text["axes"]["sequence_length"] = min(128, max(1, positions - as_gpt2["new_tokens"]))
    text["limits"]["new_tokens"] = {}
    return {**as_gpt2, **text, "inputs": {"input_ids": found.tokens(config)}}


def encoder(found: Files, config: Keys) -> Keys:
    """Describe what reads a whole text at once, with or without a head."""
    return {**_text_axes(config), "inputs": {"input_ids": found.tokens(config)}}


def masked_language_model(found: Files, config: Keys) -> Keys:
    """Describe an encoder that says which token stands at each place."""
    return encoder(found, config) | {"loss": {"_target_": "modelbench.losses.same_token"}}


def text_classifier(found: Files, config: Keys) -> Keys:
    """Describe an encoder with one or more classes for a text."""
    return encoder(found, config) | {"loss": {"_target_": "modelbench.losses.classes"}}


def vision(found: Files, config: Keys) -> Keys:
    """Describe what reads images, with or without a head."""
    size = config.get("image_size", 224)
    size = size if isinstance(size, int) else size[0]
    limits = {"image_size": {"min": size, "max": size}}
    return {
        "axes": {"batch_size": 1, "image_size": size},
        "limits": limits if config.get("model_type") in FIXED_SIZE else {},
        "inputs": {"pixel_values": found.image(config)},
    }


def image_classifier(found: Files, config: Keys) -> Keys:
    """Describe what sorts images into classes."""
    return vision(found, config) | {"loss": {"_target_": "modelbench.losses.classes"}}


def contrastive(found: Files, config: Keys) -> Keys:
    """Describe what compares images with texts, as `clip` does."""
    words, pictures = config["text_config"], config["vision_config"]
    needed = {"vocab_size", "max_position_embeddings", "image_size"}
    if not needed <= {*words, *pictures}:
        from transformers import AutoConfig  # takes seconds; it knows what the file leaves out

        whole = AutoConfig.from_pretrained(found.folder).to_dict()
        words, pictures = whole["text_config"], whole["vision_config"]
    tokens = found.tokens(words, pad=True)
    if "tokenizer" not in tokens and config.get("model_type") == "clip":
        tokens["end"] = tokens["vocab_size"] - 1  # CLIP looks for its greatest token
    text, image = _text_axes(words), vision(found, pictures)
    positions = text["limits"]["sequence_length"].get("max", 77)
    return {
        **like("clip", "phases", "loss", "learning_rate"),
        "axes": {**image["axes"], "sequence_length": min(77, positions)},
        "limits": {**image["limits"], **text["limits"]},
        "inputs": {**image["inputs"], "input_ids": tokens},
    }


KINDS: tuple[tuple[str, Callable[[Keys], Any], Callable[[Files, Keys], Keys]], ...] = (
    (r"ForCausalLM$|LMHeadModel$", lambda c: "vocab_size" in c, causal_language_model),
    (r"ForMaskedLM$", lambda c: "vocab_size" in c, masked_language_model),
    (r"For(Sequence|Token)Classification$", lambda c: "vocab_size" in c, text_classifier),
    (r"ForImageClassification$", lambda _: True, image_classifier),
    (r"Model$", lambda c: {"text_config", "vision_config"} <= c.keys(), contrastive),
    (r"Model$|ForPreTraining$", lambda c: "vocab_size" in c, encoder),
    (r"Model$", lambda c: "num_channels" in c or "image_size" in c, vision),
)
"""Pattern of the class, what its configuration has, and how it is described; the first counts."""


def describe_transformer(found: Files, config: Keys) -> Keys:
    """Describe a model by its class, which its configuration names."""
    name = (config.get("architectures") or [None])[0]
    code = config.get("auto_map", {})
    own = [auto for auto in code if auto.startswith("AutoModel")]
    if own and not found.trust_remote_code:
        files = sorted({str(place).rpartition("--")[2].split(".")[0] for place in code.values()})
        raise ValueError(
            f"model.checkpoint={found.told}: needs its own code ({', '.join(files)}.py), which is "
            "run only with model.trust_remote_code=true; read it first"
        )
    if own:
        name = next((auto for auto in own if auto != "AutoModel"), own[0])
    if name is None:
        raise ValueError(
            f"model.checkpoint={found.told}: its config.json names no architectures, so the class "
            "is not known; save_pretrained of a model writes it"
        )
    if not config.get("is_encoder_decoder"):
        for pattern, fits, kind in KINDS:
            if re.search(pattern, name) and fits(config):
                return {"build": found.recipe("transformers", name), **kind(found, config)}
    raise ValueError(not_understood(found, "transformers", name, config))


def _text_axes(config: Keys) -> Keys:
    """Give the axes of a text, and how long it may be."""
    named = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
    positions = next((config[key] for key in named if config.get(key)), None)
    if positions is not None and config.get("model_type") in AFTER_PADDING:
        positions -= config.get("pad_token_id", 1) + 1
    limit = {"max": positions} if positions else {}
    length = min(128, positions or 128)
    return {
        "axes": {"batch_size": 1, "sequence_length": length},
        "limits": {"sequence_length": limit},
    }
