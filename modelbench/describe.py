"""Models whose YAML leaves the rest to what their `describe` finds out."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf


def described(config: DictConfig) -> DictConfig:
    """Give the configuration with all keys of its model; those that are given win.

    Raises what `describe` raises: ValueError and LookupError, with a message for people.
    """
    model = config.get("model")
    if not isinstance(model, DictConfig) or model.get("describe") is None:
        return config
    told = instantiate(model.describe)
    whole = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(whole, DictConfig)
    whole.model = OmegaConf.merge(told, whole.model)
    return whole
