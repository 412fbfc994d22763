"""Architectures of transformers made tiny, and called by themselves on plain input.

Knows nothing of modelbench: what it makes is held against it.
"""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto

GROUPS = {
    "MODEL_MAPPING_NAMES": "base model",
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES": "causal language model",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES": "seq2seq text",
    "MODEL_FOR_MASKED_LM_MAPPING_NAMES": "masked language model",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES": "text classification",
    "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES": "text classification",
    "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES": "question answering",
    "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES": "image classification",
    "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES": "segmentation",
    "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES": "segmentation",
    "MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES": "detection",
    "MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES": "detection",
    "MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES": "depth",
    "MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING_NAMES": "video",
    "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES": "audio classification",
    "MODEL_FOR_CTC_MAPPING_NAMES": "CTC",
    "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES": "speech to text",
    "MODEL_FOR_AUDIO_XVECTOR_MAPPING_NAMES": "speaker embedding",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES": "image-text to text",
    "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES": "image-text contrast",
    "MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING_NAMES": "image-text to text",
    "MODEL_FOR_IMAGE_TO_IMAGE_MAPPING_NAMES": "image to image",
    "MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES": "text encoding",
    "MODEL_FOR_MASK_GENERATION_MAPPING_NAMES": "segmentation",
}
"""Tables of transformers, and what is in them."""

SHRUNK: tuple[tuple[str, int], ...] = (
    (r"vocab_size$", 160),
    (r"^(num_)?(hidden|encoder|decoder|conv_stem|attention)?_?(n_)?layers?$", 2),
    (r"^(?!.*feat_extract).*(num_hidden_layers|num_layers|n_layers?|_layers|depth|num_blocks)$", 2),
    (r"(num_key_value_heads|num_kv_heads|n_kv_heads|kv_heads|num_query_groups)$", 2),
    (r"(heads|n_head|num_attention_heads)$", 4),
    (r"(head_dim|d_kv|head_size|qk_nope_head_dim|v_head_dim|qk_rope_head_dim)$", 8),
    (r"(intermediate_size|ffn_dim|d_ff|n_inner|inner_dim|mlp_dim|feed_forward_size)$", 64),
    (r"(lora_rank|conv_depth_.*|q_lora_rank|kv_lora_rank)$", 16),
    (r"^(hidden_size|d_model|n_embd|embed_dim|embedding_size|hidden_dim|dim|width|encoder_hidden_s"
     r"ize|projection_dim|decoder_hidden_size|attention_hidden_size|emb_dim|proj_dim|model_dim)$",
     32),
    (r"(num_experts|num_local_experts|n_routed_experts|moe_num_experts)$", 4),
    (r"(num_experts_per_tok|moe_k|moe_topk|num_selected_experts|experts_per_token|moe_top_k)$", 2),
    (r"(max_position_embeddings|n_positions|max_seq_len|n_ctx)$", 256),
    (r"^(out_hidden_size|text_hidden_size|vision_output_dim|out_dim|output_dim)$", 32),
    (r"num_(queries|query_tokens)$", 8),
)  # fmt: skip
"""Fields of a configuration, and what becomes of larger numbers there."""


def architectures(seed: int, count: int | None) -> list[tuple[str, str, str]]:
    """Draw (kind, model type, class), each class once; all of them without a count."""
    found: dict[str, tuple[str, str, str]] = {}
    for table, kind in GROUPS.items():
        for model_type, names in getattr(modeling_auto, table).items():
            for name in [names] if isinstance(names, str) else names:
                found.setdefault(name, (kind, model_type, name))
    drawn = sorted(found.values())
    random.Random(seed).shuffle(drawn)
    return drawn[:count]


def make(model_type: str, name: str) -> tuple[Any, dict[str, Any]]:
    """Build the class, tiny, and find plain input that its forward runs on.

    Raises RuntimeError with the last thing that went wrong where no way leads to both.
    """
    trouble: Exception = RuntimeError("no configuration")
    for patterns in (SHRUNK, SHRUNK[:6], SHRUNK[:3]):
        try:
            torch.manual_seed(0)
            config = shrink(transformers.CONFIG_MAPPING[model_type](), patterns)
            if _parameters(name, config) > 150e6:
                raise RuntimeError("too large when made tiny")
            model = getattr(transformers, name)(config).eval()
        except Exception as error:
            trouble = error
            continue
        for given in plain(model):
            try:
                with torch.no_grad():
                    model(**given)
            except Exception as error:
                trouble = error
            else:
                return model, given
    raise RuntimeError(f"{type(trouble).__name__}: {str(trouble).strip().partition(chr(10))[0]}")


def shrink(config: Any, patterns: tuple[tuple[str, int], ...]) -> Any:
    """Make the numbers of a configuration small, within it as well; returns the same one."""
    for key, value in list(vars(config).items()):
        if isinstance(value, transformers.PretrainedConfig):
            shrink(value, patterns)
            continue
        small = next((n for pattern, n in patterns if re.search(pattern, key)), None)
        if small is not None and type(value) is int and value > small:
            _set(config, key, small)
        elif (
            small is not None and isinstance(value, list | tuple) and set(map(type, value)) == {int}
        ):
            _set(config, key, type(value)(min(small, v) for v in value))
    patch, size = getattr(config, "patch_size", None), getattr(config, "image_size", None)
    if type(patch) is int and type(size) is int and not hasattr(config, "depths"):
        _set(config, "image_size", min(size, 4 * patch))
    inner = [v for v in vars(config).values() if isinstance(v, transformers.PretrainedConfig)]
    sizes = [v for each in (config, *inner) if (v := getattr(each, "vocab_size", None))]
    vocabulary = min((size for size in sizes if isinstance(size, int)), default=None)
    layers = getattr(config, "num_hidden_layers", None)
    for key, value in list(vars(config).items()):
        ends = key.endswith(("_token_id", "_token_index", "_token_idx"))
        if ends and type(value) is int and isinstance(vocabulary, int) and value >= vocabulary:
            _set(config, key, vocabulary - 1 - sum(map(ord, key)) % 40)
        if key in {"layer_types", "layers_block_type", "mlp_layer_types"} and value and layers:
            kinds = list(dict.fromkeys(value))
            _set(config, key, [kinds[i % len(kinds)] for i in range(layers)])
    return config


def plain(model: Any) -> Iterator[dict[str, Any]]:
    """Yield inputs that a person would try, by the names that forward takes."""
    takes = inspect.signature(model.forward).parameters
    config = model.config
    words = {"input_ids": torch.randint(5, 100, (1, 16))}
    target = {"decoder_input_ids": torch.randint(5, 100, (1, 8))}
    first = str(model.main_input_name)
    size = _number(config, "image_size", 224)
    channels = _number(config, "num_channels", 3)
    images = [
        torch.rand(1, channels, s, s) for s in dict.fromkeys((size, 224, 64)) if 8 <= s <= 1024
    ]
    mels = _number(config, "num_mel_bins", 80)
    frames = 2 * _number(config, "max_source_positions", 1500)
    audio = {
        "input_values": [torch.randn(1, 16000), torch.randn(1, _number(config, "max_length", 1024),
                                                            mels)],
        "input_features": [torch.randn(1, mels, frames), torch.randn(1, 200, mels),
                           torch.randn(1, 200, _number(config, "feature_size", mels)),
                           torch.randn(1, 200, _number(config, "feature_projection_input_dim",
                                                       mels))],
        "pixel_values": images,
        "pixel_values_videos": [torch.rand(1, _number(config, "num_frames", 8), channels, size,
                                           size)],
    }  # fmt: skip
    video = torch.rand(1, _number(config, "num_frames", 8), channels, size, size)
    for name in dict.fromkeys((first, "input_ids", *audio)):
        if name not in takes:
            continue
        for tensor in [words["input_ids"]] if name == "input_ids" else audio.get(name, []):
            given = {name: tensor}
            yield given
            if "decoder_input_ids" in takes:
                yield given | target
            if name != "input_ids" and "input_ids" in takes:
                yield given | words
    if "pixel_values" in takes:
        yield {"pixel_values": video}


def save(model: Any, given: dict[str, Any], folder: Path) -> Path:
    """Save it as its library does; raises what the library raises when it is loaded again."""
    model.save_pretrained(folder)
    with torch.no_grad():
        type(model).from_pretrained(folder).eval()(**given)
    return folder


def _number(config: Any, key: str, other: int) -> int:
    """Look for a number in a configuration and in those within."""
    patch, size = getattr(config, "patch_size", None), getattr(config, "image_size", None)
    if type(patch) is int and type(size) is int and not hasattr(config, "depths"):
        _set(config, "image_size", min(size, 4 * patch))
    inner = [v for v in vars(config).values() if isinstance(v, transformers.PretrainedConfig)]
    for each in (config, *inner):
        value = getattr(each, key, None)
        value = value[0] if isinstance(value, list | tuple) and value else value
        if isinstance(value, Mapping):
            value = value.get("height")
        if type(value) is int:
            return value
    return other


def _parameters(name: str, config: Any) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in getattr(transformers, name)(config).parameters())


def _set(config: Any, key: str, value: Any) -> None:
    try:
        setattr(config, key, value)
    except Exception:  # a field that checks its value keeps the one it has
        return
