"""What a library builds, as the library itself tells it; a program, since that imports torch.

python -m modelbench.models.builders.listing timm
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

Entries = dict[str, dict[str, Any]]

SIZED = ("image_size", "input_size", "spatial_size")
"""Arguments of classes that are built for one size of image."""


def torchvision() -> Entries:
    """Return of each builder its kind, and what its best weights were trained on."""
    from torchvision.models import get_model_builder, get_model_weights, list_models

    found: Entries = {}
    for name in list_models():
        builder = get_model_builder(name)
        parts = builder.__module__.split(".")
        weights: Any = next(iter(get_model_weights(name)), None)
        weights = getattr(get_model_weights(name), "DEFAULT", weights)
        seen = vars(weights.transforms()) if weights is not None else {}
        built = inspect.signature(builder).return_annotation
        # Annotations may be strings, of which the module knows the class
        built = getattr(sys.modules[builder.__module__], str(built), built)
        parameters = inspect.signature(built).parameters if isinstance(built, type) else {}
        found[name] = {
            "kind": parts[2] if len(parts) > 3 else "classification",
            "size": (seen.get("crop_size") or seen.get("resize_size") or [None])[0],
            "mean": seen.get("mean"),
            "std": seen.get("std"),
            "built_for": _built_for(parameters, weights),
            "takes": list(inspect.signature(builder).parameters),
            "url": weights.url if weights is not None else None,
        }
    return found


def _built_for(arguments: Mapping[str, inspect.Parameter], weights: Any) -> dict[str, Any] | None:
    """Return the argument with which a builder makes a model for the size of its weights."""
    for argument in SIZED:
        if argument in arguments and weights is not None:
            size = list(weights.meta["min_size"])
            one = str(arguments[argument].annotation) in {"int", str(int)}
            return {argument: size[0] if one else size}
    return None


def timm() -> Entries:
    """Return of each builder, with and without the tag of its weights, what these take."""
    import timm as library

    found: Entries = {}
    for name in {*library.list_models(), *library.list_models(pretrained=True)}:
        seen: Any = library.models.get_pretrained_cfg(name, allow_unregistered=True)
        if seen is None:
            found[name] = {}
            continue
        found[name] = {
            "shape": list(seen.input_size),
            "mean": list(seen.mean),
            "std": list(seen.std),
            "fixed": bool(seen.fixed_input_size),
            "classes": seen.num_classes,
            "hub": seen.hf_hub_id if seen.has_weights else None,
        }
    return found


LIBRARIES: dict[str, Callable[[], Entries]] = {"torchvision": torchvision, "timm": timm}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(LIBRARIES[sys.argv[1]]()))
