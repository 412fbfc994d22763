"""Models whose YAML leaves the rest to what their `describe` finds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import MISSING, DictConfig, OmegaConf

_TOLD: dict[str, Any] = {}
"""What was told of each, so that the checks of a sweep and of its jobs ask but once."""


def described(config: DictConfig) -> DictConfig:
    """Return the configuration with all keys of its model; those that are given win.

    Raises what `describe` raises: ValueError and LookupError, with a message for people.
    """
    model = config.get("model")
    if not isinstance(model, DictConfig) or model.get("describe") is None:
        return config
    node = OmegaConf.to_container(model.describe, resolve=True)
    asked = repr((node, list(_files(node))))
    if asked not in _TOLD:
        _TOLD[asked] = instantiate(node)  # resolved: it need not look at the whole
    whole: Any = OmegaConf.to_container(config, resolve=False)
    whole["model"] = _merged(_TOLD[asked], whole["model"])
    made = OmegaConf.create(whole)
    assert isinstance(made, DictConfig)
    return made


def _merged(told: Any, given: Any) -> Any:
    """Return what is given over what was told, as OmegaConf merges, which takes longer."""
    if not isinstance(told, Mapping) or not isinstance(given, Mapping):
        return told if given == MISSING else given
    return {**told, **{key: _merged(told.get(key), value) for key, value in given.items()}}


def _files(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the files of folders that a node names, and when each was changed."""
    for value in node.values() if isinstance(node, Mapping) else []:
        folder = Path(value) if isinstance(value, str) and value else None
        if folder is not None and folder.is_dir():
            for file in sorted(folder.rglob("*")):
                yield str(file), file.stat().st_mtime_ns
