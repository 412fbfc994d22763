"""Overrides of a command line, each by itself: what they mean, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from modelbench.config import schema
from modelbench.config.quoting import quoted
from modelbench.config.sections import suggest

FREE_TEXT = ("text", "image")
"""Keys whose value is taken as it is typed: nobody quotes a sentence twice."""

QUOTES = """a value with spaces, commas or quotes needs Hydra's quoting: "KEY='...'\""""


def as_typed(text: str) -> str:
    """Quote the value of a key that takes any text, unless that has been done."""
    key, _, value = text.partition("=")
    plain = key in FREE_TEXT and value not in {"", "null"} and value[:1] not in {"'", '"'}
    return f"{key}={quoted(value)}" if plain else text


@dataclass(frozen=True)
class Reader:
    """Reads overrides against what the folders of configurations offer."""

    parser: OverridesParser
    folders: Sequence[Path]
    multirun: bool
    sampler: bool
    """Whether a sweeper was chosen that samples intervals."""
    errors: list[str] = field(default_factory=list)

    def variants(self, text: str) -> list[str]:
        """Return the single overrides that one sweeps over, less those with an error."""
        good = []
        for single in self._singles(text):
            error_text = self._error_in(self.parser.parse_override(single))
            if error_text:
                self.errors.append(error_text)
            else:
                good.append(single)
        return good

    def _singles(self, text: str) -> Iterator[str]:
        try:
            override = self.parser.parse_override(text)
            if not override.key_or_group:
                raise HydraException
        except HydraException:
            groups = [group for group in schema.SECTIONS if text in self._options(group)]
            such = f"such as image_size=128; {QUOTES}"
            meant = f"did you mean {groups[0]}={text}?" if groups else such
            self.errors.append(f"{text}: expected KEY=VALUE, {meant}")
            return
        if not override.is_sweep_override():
            yield text
        elif not self.multirun:
            several = f"for several stages use test=[{text.partition('=')[2]}]"
            hint = several if override.key_or_group == "test" else QUOTES
            self.errors.append(f"{text}: several values need --multirun; {hint}")
        elif override.is_discrete_sweep():
            sign = "+" if override.is_add() else ""
            for value in override.sweep_string_iterator():
                yield f"{sign}{override.get_key_element()}={value}"
        elif not self.sampler:
            self.errors.append(f"{text}: an interval needs a sampling sweeper: hydra/sweeper=")

    def _error_in(self, override: Override) -> str | None:
        """Return what is wrong with the key of an override, or with its option."""
        key = override.key_or_group
        if key.partition(".")[0] == "hydra" or key.startswith("hydra/") or override.is_delete():
            return None  # Hydra's own; what a deletion leaves is checked when composed
        options = self._options(key)
        if options:
            value: Any = override.value()
            if isinstance(value, list) and key != "test":
                return f"{key}={','.join(map(str, value))}: only test takes a list"
            for option in value if isinstance(value, list) else [value]:
                if str(option) not in options:
                    return f"{key}={option}: unknown {key}{suggest(str(option), options)}"
            return None
        top = key.partition(".")[0]
        keys = {*schema.SECTIONS, *schema.Settings.__dataclass_fields__}
        return None if top in keys else f"{key}: unknown key{suggest(top, keys)}"

    def _options(self, group: str) -> set[str]:
        """Return the names of a group's YAMLs."""
        return {file.stem for folder in self.folders for file in (folder / group).glob("*.yaml")}
