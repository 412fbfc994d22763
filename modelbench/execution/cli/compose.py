"""Many configurations that differ in values: the files of each choice of options are read once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


class Composer:
    """Composes as Hydra does, which first puts the options' files together, then sets values."""

    def __init__(self, parser: OverridesParser, folders: Sequence[Path]) -> None:
        self._parser, self._folders = parser, folders
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return a configuration, to be read only; raises what Hydra's `compose` raises."""
        parsed = self._parser.parse_overrides(list(overrides))
        values = [override for override in parsed if self._sets_a_value(override)]
        chosen = [override for override in parsed if not self._sets_a_value(override)]
        words = tuple(str(override.input_line) for override in chosen)
        if words not in self._composed:
            self._composed[words] = compose("config", list(words))
        if not values:
            return self._composed[words]
        config = copy.deepcopy(self._composed[words])
        try:
            # Hydra's own, so that nothing differs from its `compose`
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except (HydraException, OmegaConfBaseException):
            return compose("config", list(overrides))  # it says what is wrong
        return config

    def _sets_a_value(self, override: Override) -> bool:
        key = override.key_or_group
        if key.partition(".")[0] == "hydra" or key.startswith("hydra/") or override.package:
            return False
        group = any((folder / key).is_dir() for folder in self._folders)
        return isinstance(override.value(), dict) or not group
