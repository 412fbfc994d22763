"""What one checkpoint is: its files, its configuration and its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from modelbench.models.huggingface.files import Files, Keys
from modelbench.models.huggingface.library import Argument, Class
from modelbench.models.huggingface.settings import Settings

Inputs = dict[str, Keys]
"""Forward arguments and their sources."""


@dataclass(frozen=True)
class Subject:
    """A model of transformers."""

    found: Files
    settings: Settings
    kind: Class

    @cached_property
    def takes(self) -> Mapping[str, Argument]:
        """The arguments of its forward by name."""
        return {argument.name: argument for argument in self.kind.takes("forward") or []}

    @property
    def main(self) -> str:
        """The argument that its class names as the principal one."""
        named: Any = self.kind.value("main_input_name") or "input_ids"
        return str(named if isinstance(named, str) else named[0])

    @property
    def modalities(self) -> set[str]:
        """What its class says that it takes: text, image, video, audio, time."""
        named: Any = self.kind.value("input_modalities") or "text"
        return {named} if isinstance(named, str) else set(named)

    @property
    def generates(self) -> bool:
        """Whether it writes, token by token."""
        return self.kind.inherits("GenerationMixin")

    @property
    def decodes(self) -> bool:
        """Whether an encoder reads and a decoder writes."""
        return "decoder_input_ids" in self.takes

    def wants(self, argument: str) -> bool:
        """Return whether an argument has to be given."""
        taken = self.takes.get(argument)
        return taken is not None and (taken.required or argument == self.main)

    def says(self, *words: str) -> bool:
        """Return whether the code of its file has one of these words."""
        return any(word in self.kind.text for word in words)


def source(name: str, **given: Any) -> Keys:
    """Name a source with its settings, those that are None left out."""
    kept = {key: value for key, value in given.items() if value is not None}
    return {"_target_": f"modelbench.inputs.{name}", **kept}
