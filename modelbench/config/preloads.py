"""What the fork server may import before the first worker is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.utils import get_class

from modelbench.config import schema
from modelbench.config.locate import installed_targets


def ahead(plain: Mapping[str, Any]) -> list[str]:
    """Name the packages of a checked configuration's model, and what its stages compute with."""
    found = installed_targets(plain["model"]["build"])
    for settings in schema.stages(plain).values():
        stage: Any = get_class(settings["_target_"])
        given = {key: value for key, value in settings.items() if key != "_target_"}
        found += stage(**given).preloads()
    return found
