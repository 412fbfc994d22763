"""Composing many command lines that have most in common: Hydra is asked once for what is alike.

Hydra takes some hundredths of a second for each, and a sweep over 200 checkpoints differs in a
single value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

VALUE = re.compile(r"(?!hydra\.)[a-z_]+(\.\w+)+=")
"""An override of one value; groups, and what is added or deleted, are Hydra's to read."""


class Composer:
    """Composes; what it gives holds until the next call."""

    def __init__(self, parser: OverridesParser) -> None:
        self._parser = parser
        self._known: dict[tuple[str, ...], DictConfig] = {}
        self._changed: list[tuple[DictConfig, str, Any]] = []

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """Compose; raises what Hydra raises."""
        for config, key, before in reversed(self._changed):
            OmegaConf.update(config, key, before)
        self._changed = []
        values = [text for text in overrides if VALUE.match(text)]
        rest = tuple(text for text in overrides if text not in values)
        parsed = [
            (each.key_or_group, each.value()) for each in self._parser.parse_overrides(values)
        ]
        if rest not in self._known:
            self._known[rest] = compose("config", list(rest))
        config = self._known[rest]
        for key, value in parsed:
            if not _replaces(config, key, value):
                return compose("config", list(overrides))
        for key, value in parsed:
            self._changed.append((config, key, _raw(config, key)))
            OmegaConf.update(config, key, value)
        return config


def _replaces(config: DictConfig, key: str, value: Any) -> bool:
    """Tell whether a plain value takes the place of one, which is all that Hydra would do."""
    around, _, name = key.rpartition(".")
    node = OmegaConf.select(config, around)
    there = isinstance(node, DictConfig) and name in node and not OmegaConf.is_missing(node, name)
    plain = value is None or isinstance(value, str | int | float | bool)
    return there and plain and not OmegaConf.is_config(_raw(config, key))


def _raw(config: DictConfig, key: str) -> Any:
    """Give a value as it is written, interpolations and all."""
    around, _, name = key.rpartition(".")
    node = OmegaConf.select(config, around)
    inner = node._get_node(name)
    return inner if OmegaConf.is_config(inner) else inner._value()
