"""Building a model with trained weights, from files that cannot run code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object, instantiate


def build_pretrained(
    recipe: Mapping[str, Any], checkpoint: Path, *, trust_remote_code: bool = False
) -> Any:
    """Build what `recipe` names, with the weights in `checkpoint`.

    A class with `from_pretrained` (transformers, diffusers) takes its configuration from the
    checkpoint's folder; any other callable is called as the recipe says, and given the state dict
    in the checkpoint's file. Raises ValueError where the weights are another model's.
    """
    target = get_object(recipe["_target_"])
    if hasattr(target, "from_pretrained") and checkpoint.is_dir():
        trust = {"trust_remote_code": trust_remote_code}
        return target.from_pretrained(checkpoint, use_safetensors=True, **trust)
    if checkpoint.is_dir():
        raise ValueError(
            f"model.checkpoint={checkpoint} is a folder; {recipe['_target_']} has no "
            "from_pretrained, and needs a state dict file"
        )
    model = instantiate(recipe, _convert_="all")
    load_state(model, checkpoint)
    return model


def load_state(model: Any, checkpoint: Path) -> None:
    """Give a model the state dict in a file; raises ValueError where it is another model's."""
    try:
        model.load_state_dict(_state(checkpoint))
    except RuntimeError as error:
        lines = " ".join(str(error).split())
        raise ValueError(f"model.checkpoint={checkpoint} does not fit: {lines[:300]}") from error


def _state(file: Path) -> dict[str, Any]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    state: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu")
    return state
