"""A checkpoint's configuration with what its file leaves out: the defaults of its class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from modelbench.models.huggingface.files import Keys
from modelbench.models.huggingface.library import Class, Package, package

MODEL_TYPE = re.compile(r'^ +model_type(?:: str)? = "([\w-]+)"', re.MULTILINE)


class Settings:
    """One configuration, or one within another."""

    def __init__(self, given: Keys) -> None:
        self.given = given

    @cached_property
    def own(self) -> Keys:
        """What stands in it, the defaults of its class included."""
        kind = config_class(self.given.get("model_type"))
        defaults = kind.values() if kind else {}
        aliases = defaults.get("attribute_map") or {}
        found = {**defaults, **self.given}
        return {**{alias: found[key] for alias, key in aliases.items() if key in found}, **found}

    @cached_property
    def parts(self) -> dict[str, Settings]:
        """The configurations within, by their names."""
        named = {k: v for k, v in self.given.items() if isinstance(v, dict) and "model_type" in v}
        known = {k for k, v in self.own.items() if k.endswith("_config") and isinstance(v, dict)}
        return {
            name: Settings({"model_type": _default_type(self.given, name), **self.given[name]})
            for name in {**named, **dict.fromkeys(sorted(known & self.given.keys()))}
        }

    def within(self, *words: str) -> Settings:
        """Return the first part whose name has one of these words, or else this one."""
        for word in words:
            for name, part in self.parts.items():
                if word in name:
                    return part
        return self

    def number(self, *keys: str) -> int | None:
        """Return the first of these that is a number here or, failing that, anywhere within."""
        return next((size for key in keys for size in self._numbers(key)), None)

    def has(self, key: str) -> bool:
        """Return whether a key stands here or anywhere within, with a value."""
        return self.own.get(key) is not None or any(p.has(key) for p in self.parts.values())

    def find(self, key: str) -> Any:
        """Return what a key stands for here or, failing that, within; None where it is nowhere."""
        if self.own.get(key) is not None:
            return self.own[key]
        return next((v for p in self.parts.values() if (v := p.find(key)) is not None), None)

    def _numbers(self, key: str) -> Iterator[int]:
        value = self.own.get(key)
        if isinstance(value, dict):
            value = value.get("height") or value.get("shortest_edge")
        if isinstance(value, list | tuple) and value:
            value = value[0]
        if type(value) is int:
            yield value
        for part in self.parts.values():
            yield from part._numbers(key)


@cache
def config_class(model_type: str | None) -> Class | None:
    """Find the class of a kind of configuration in transformers, or None."""
    library = package("transformers")
    if library is None or not model_type:
        return None
    folder = model_type.replace("-", "_")
    file = library.folder / "models" / folder / f"configuration_{folder}.py"
    return _in_file(library, file, model_type) or (
        _in_file(library, _files(library)[model_type], model_type)
        if model_type in _files(library)
        else None
    )


@cache
def _files(library: Package) -> dict[str, Path]:
    """Return the file of each kind of configuration; takes a moment, and is rarely asked."""
    return {
        kind: file
        for file in sorted(library.folder.glob("models/*/configuration_*.py"))
        for kind in MODEL_TYPE.findall(library.text(file))
    }


def _in_file(library: Package, file: Path, model_type: str) -> Class | None:
    text = library.text(file)
    place = re.search(rf'^ +model_type(: str)? = "{re.escape(model_type)}"', text, re.MULTILINE)
    names = re.findall(r"^class (\w+)", text[: place.start()], re.MULTILINE) if place else []
    return library.find(names[-1], file) if names else None


def _default_type(given: Keys, name: str) -> str | None:
    """Infer the kind of a part that does not say it: 'siglip' has a 'siglip_vision_model'."""
    own, part = given.get("model_type", ""), name.removesuffix("_config")
    kinds = (f"{own}_{part}_model", f"{own}_{part}", f"{own}_{part}_encoder")
    return next((kind for kind in kinds if config_class(kind)), None)
