"""The files of a checkpoint, and what of a model's YAML follows from their being there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from modelbench.config.schema import CONF
from modelbench.models.huggingface.library import Argument

Keys = dict[str, Any]
"""Keys of a model's YAML."""


@dataclass(frozen=True)
class Files:
    """A folder with a configuration, and how it is to be loaded."""

    folder: Path
    told: str
    """As the user named it."""
    weights: str
    trust_remote_code: bool

    def read(self, file: str) -> Keys:
        """Read a JSON file; raises ValueError where it is not there or is damaged."""
        path = self.folder / file
        try:
            read: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(
                f"model.checkpoint={self.told}: has no {file}; expected a folder written by "
                "save_pretrained"
            ) from None
        except (OSError, ValueError) as error:
            raise ValueError(f"model.checkpoint: {path} cannot be read ({error})") from None
        if not isinstance(read, dict):
            raise ValueError(f"model.checkpoint: {path} is not a JSON object")
        return read

    def recipe(self, library: str, name: str, part: str = "") -> Keys:
        """Return the `build` node of a class whose files are here or in the folder `part`."""
        place: Keys = {"pretrained_model_name_or_path": str(self.folder / part)}
        trust = {"trust_remote_code": True} if self.trust_remote_code else {}
        whole = f"{library}.{name}"
        if self.weights == "pretrained":
            return {"_target_": f"{whole}.from_pretrained", "use_safetensors": True,
                    **place, **trust}  # fmt: skip
        if library == "diffusers":
            config: Keys = {"_target_": f"{whole}.load_config", **place}
            return {"_target_": f"{whole}.from_config", "config": config}
        config = {"_target_": "transformers.AutoConfig.from_pretrained", **place, **trust}
        if name.startswith("Auto"):
            return {"_target_": f"{whole}.from_config", "config": config, **trust}
        return {"_target_": whole, "config": config}

    def tokens(self, config: Keys, part: str = "", *, pad: bool = False) -> Keys:
        """Return the source of token ids, with the checkpoint's tokenizer where there is one."""
        source: Keys = {"_target_": "modelbench.inputs.Tokens", "vocab_size": config["vocab_size"]}
        folder = self.folder / part
        if any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
            return source | {"tokenizer": str(folder), "pad": pad}
        return source

    def image(self, config: Keys) -> Keys:
        """Return the source of images, with the checkpoint's image processor where there is one.

        Raises ValueError for a processor that is damaged, or makes no images.
        """
        source: Keys = {
            "_target_": "modelbench.inputs.Image",
            "channels": config.get("num_channels", 3),
        }
        kind = self.processor.get("image_processor_type")
        other = self.processor.get("feature_extractor_type", "")
        if self.processor and kind is None and not other.endswith(("ImageProcessor", "Extractor")):
            return source
        if self.processor and kind is None and "image_mean" not in self.processor:
            raise ValueError(
                f"model.checkpoint={self.told}: its preprocessor_config.json is that of "
                f"{other or 'another model'}, which makes no images, but the model takes images; "
                "expected the processor saved with the model (or delete the file: images are then "
                "scaled to 0..1)"
            )
        return source | ({"processor": str(self.folder)} if self.processor else {})

    @cached_property
    def processor(self) -> Keys:
        """What preprocessor_config.json says; nothing where there is none."""
        there = (self.folder / "preprocessor_config.json").is_file()
        return self.read("preprocessor_config.json") if there else {}

    def image_size(self) -> int | None:
        """Return the side of the images that the processor makes, or None."""
        for key in ("crop_size", "size"):
            size = self.processor.get(key)
            if isinstance(size, dict):
                size = size.get("height") or size.get("shortest_edge")
            if type(size) is int:
                return size
        return None

    def sampling_rate(self) -> int | None:
        """Return the samples in a second that the processor wants, or None."""
        rate = self.processor.get("sampling_rate")
        return rate if type(rate) is int else None


def like(model: str, *keys: str) -> Keys:
    """Take keys from the YAML of one of our own models."""
    whole: Any = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{model}.yaml"))
    return {key: whole[key] for key in keys}


def not_understood(
    found: Files, library: str, name: str | None, takes: Iterable[Argument], main: str = "sample"
) -> str:
    """Return what a checkpoint is, and show the YAML that would describe it, with its arguments."""
    build = f" {{_target_: {library}.{name}}}"
    if library == "transformers":
        build = f"""
        _target_: transformers.{name}
        config:
          _target_: transformers.AutoConfig.from_pretrained
          pretrained_model_name_or_path: {found.told}"""
    known = list(takes)
    needed = [argument.name for argument in known if argument.required]
    lines = [f"{each}: {_such(each)}" for each in needed or [main]]
    further = [each.name for each in known if not each.required and each.name != main]
    lines += [f"# optional: {', '.join(further)}"] if further else []
    inputs = "\n        ".join(lines)
    return f"""\
model.checkpoint={found.told}: a {name} of {library}, whose inputs cannot be inferred from its \
class and configuration; write them into my_configs/model/mine.yaml, and choose it with \
--config-dir my_configs model=mine
      name: {found.folder.name}
      build:{build}
      checkpoint: {found.told}
      weights: pretrained
      axes: {{batch_size: 1, sequence_length: 128}}
      inputs:   # the arguments of its forward
        {inputs}"""


def _such(argument: str) -> str:
    """Return the source that an argument of such a name may want."""
    if argument.endswith("input_ids"):
        return "{_target_: modelbench.inputs.Tokens, vocab_size: N}"
    if argument.startswith("pixel_values"):
        return "{_target_: modelbench.inputs.Image, channels: 3}"
    if argument.endswith("mask"):
        return "{_target_: modelbench.inputs.Full, shape: [batch_size, sequence_length]}"
    return "{_target_: modelbench.inputs.Noise, shape: [batch_size, N]}"
