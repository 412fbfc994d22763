"""Trained weights for a model that a library builds: a state dict in the user's own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def checked_file(checkpoint: str | None, weights: str) -> str | None:
    """Return the file that weights are read from; raises ValueError where it is none."""
    if checkpoint is None:
        return None
    path = Path(checkpoint)
    if weights != "pretrained":
        raise ValueError(
            f"model.checkpoint={checkpoint}: model.weights={weights} loads none; expected "
            "model.weights=pretrained"
        )
    if path.is_dir():
        raise ValueError(f"model.checkpoint={path} is a folder; expected a state dict file")
    if not path.is_file():
        raise ValueError(f"model.checkpoint={path}: no such file")
    return checkpoint


def loaded(model: Any, file: str) -> Any:
    """Return a model its weights; raises ValueError where they are another model's."""
    from modelbench.models.pretrained import load_state

    load_state(model, Path(file))
    return model


def recipe(build: Mapping[str, Any], file: str | None) -> dict[str, Any]:
    """Return the `build` node of a model whose weights lie in a file, or of one without."""
    if file is None:
        return dict(build)
    return {"_target_": f"{__name__}.loaded", "model": dict(build), "file": file}
