"""What a builder of torchvision takes, told by the weights that it has. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelbench.models.builders.catalogue import entry
from modelbench.models.builders.weights import checked_file, recipe

Keys = dict[str, Any]

AS_TRAINED: Mapping[str, Keys] = {
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}
"""Where a builder makes another model with weights than without: what it is given with them."""

PICTURE, CLIP_SIZE, FLOW_SIZE = 480, 112, 256
"""Sizes where the weights name none; detectors resize each image to their own."""
PAN = 4
"""Pixels between the two images of an optical flow."""


def describe(
    arch: str | None, weights: str, checkpoint: str | None, arguments: Mapping[str, Any]
) -> Keys:
    """Return the keys of the YAML that describes one of torchvision's models by its name.

    Raises ValueError for a name that is none, LookupError where torchvision is not installed.
    """
    told = entry("torchvision", arch)
    kind = KINDS.get(told["kind"])
    if told["kind"] == "quantization":
        raise ValueError(
            f"model.arch={arch}: is already quantized, with an API that torch deprecates; expected "
            f"model.arch={str(arch).removeprefix('quantized_')}, with precision=int8"
        )
    if kind is None:
        raise ValueError(
            f"model.arch={arch}: an unknown kind of model ({told['kind']}); write a YAML with "
            f"build: {{_target_: torchvision.models.get_model, name: {arch}}} and its inputs"
        )
    file = checked_file(checkpoint, weights)
    from_library = weights == "pretrained" and file is None
    if from_library and told["url"] is None:
        raise ValueError(
            f"model.arch={arch}: torchvision has no pretrained weights for it; expected "
            "model.checkpoint=FILE, a state dict, or model.weights=random"
        )
    build: Keys = {
        "_target_": "torchvision.models.get_model",
        "name": arch,
        "weights": "DEFAULT" if from_library else None,
        **({"weights_backbone": None} if "weights_backbone" in told["takes"] else {}),
        **({"progress": False} if "progress" in told["takes"] else {}),
    }
    if not from_library:
        build |= AS_TRAINED.get(str(arch), {})
        build |= {"aux_loss": True} if "aux_loss" in told["takes"] else {}
        build |= told["built_for"] or {}
    keys = kind({**told, "size": _size(arguments) or told["size"]})
    build = keys.get("build", dict)(recipe(build | dict(arguments), file))
    source = {"checkpoint": told["url"]} if from_library else {}
    return {"name": arch, **source, **keys, "build": build}


def _size(arguments: Mapping[str, Any]) -> int | None:
    """Return the size that a model is built for, where the arguments of its builder say it."""
    sized = ("image_size", "input_size", "spatial_size")
    given = next((arguments[key] for key in sized if key in arguments), None)
    return given if given is None or isinstance(given, int) else given[0]


def _image(told: Mapping[str, Any], target: str = "modelbench.inputs.Image", **more: Any) -> Keys:
    normal = {key: told[key] for key in ("mean", "std") if told[key] is not None}
    return {"_target_": target, **normal, **more}


def _axes(told: Mapping[str, Any], size: int) -> Keys:
    size = told["size"] or size
    fixed = {"limits": {"image_size": {"min": size, "max": size}}} if told["built_for"] else {}
    return {"axes": {"batch_size": 1, "image_size": size}, **fixed}


def _classification(told: Mapping[str, Any]) -> Keys:
    loss = {"_target_": "modelbench.losses.classes"}
    return {**_axes(told, 224), "inputs": {"0": _image(told, channels=3)}, "loss": loss}


def _segmentation(told: Mapping[str, Any]) -> Keys:
    loss = {"_target_": "modelbench.models.builders.segmentation.segmentation"}
    return {**_classification(told), "loss": loss}


def _detection(told: Mapping[str, Any]) -> Keys:
    target = "modelbench.models.builders.detector"

    def within(build: Keys) -> Keys:
        return {"_target_": f"{target}.Detector", "model": build}

    return {
        **_axes(told, PICTURE),
        "inputs": {"images": _image(told, channels=3)},
        "loss": {"_target_": f"{target}.detection"},
        "build": within,
    }


def _video(told: Mapping[str, Any]) -> Keys:
    source = _image(told, "modelbench.inputs.pan.Video", channels=3, frames=16)
    loss = {"_target_": "modelbench.losses.classes"}
    return {**_axes(told, CLIP_SIZE), "inputs": {"0": source}, "loss": loss}


def _optical_flow(told: Mapping[str, Any]) -> Keys:
    scaled: Keys = {**told, "mean": [0.5], "std": [0.5]}  # to -1..1, as its weights' transforms do
    frames = [_image(scaled, "modelbench.inputs.pan.Frame", channels=3, at=at) for at in (0, PAN)]
    target = "modelbench.models.builders.optical_flow.pan"
    return {
        **_axes(told, FLOW_SIZE),
        "limits": {"image_size": {"min": 128, "multiple_of": 8}},
        "inputs": {"image1": frames[0], "image2": frames[1]},
        "loss": {"_target_": target, "pixels": PAN},
    }


KINDS: Mapping[str, Callable[[Mapping[str, Any]], Keys]] = {
    "classification": _classification,
    "segmentation": _segmentation,
    "detection": _detection,
    "video": _video,
    "optical_flow": _optical_flow,
}
"""By the package that a builder stands in."""
