"""What a builder of timm takes, told by the weights that it has. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelbench.models.builders.catalogue import entry
from modelbench.models.builders.weights import checked_file, recipe

Keys = dict[str, Any]


def describe(
    arch: str | None, weights: str, checkpoint: str | None, arguments: Mapping[str, Any]
) -> Keys:
    """Return the keys of the YAML that describes one of timm's models by its name.

    Raises ValueError for a name that is none, LookupError where timm is not installed.
    """
    told = entry("timm", arch)
    file = checked_file(checkpoint, weights)
    from_library = weights == "pretrained" and file is None
    if from_library and not told.get("hub"):
        raise ValueError(
            f"model.arch={arch}: timm has no pretrained weights for it; expected "
            "model.checkpoint=FILE, a state dict, or model.weights=random"
        )
    build: Keys = {"_target_": "timm.create_model", "model_name": arch, "pretrained": from_library}
    source = {"checkpoint": told["hub"]} if from_library else {}
    keys = {"name": arch, **source, "build": recipe(build | dict(arguments), file)}
    keys |= _takes(told, arguments)
    if arguments.get("num_classes", told.get("classes", 1000)):  # without classes: features
        keys["loss"] = {"_target_": "modelbench.losses.classes"}
    return keys


def _takes(told: Mapping[str, Any], arguments: Mapping[str, Any]) -> Keys:
    """Return the input and its axes."""
    channels, height, width = told.get("shape", [3, 224, 224])
    given = arguments.get("img_size")
    if given is not None:
        height, width = (given, given) if isinstance(given, int) else given
    channels = arguments.get("in_chans", channels)
    if height != width:
        shape = ["batch_size", channels, height, width]
        noise = {"_target_": "modelbench.inputs.Noise", "shape": shape}
        return {"axes": {"batch_size": 1}, "inputs": {"0": noise}}
    image: Keys = {"_target_": "modelbench.inputs.Image", "channels": channels}
    for key in ("mean", "std"):
        if key in told:
            image[key] = told[key] if len(told[key]) == channels else told[key][:1]
    limits = {"image_size": {"min": height, "max": height}} if told.get("fixed") else {}
    return {
        "axes": {"batch_size": 1, "image_size": height},
        "limits": limits,
        "inputs": {"0": image},
    }
