"""What a model of images and texts does beside comparing them: encode either alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from modelbench.inputs.batch import Batch


def image_encode(model: Any, batch: Batch) -> Callable[[], Any]:
    """Encode the images alone."""
    return partial(model.get_image_features, pixel_values=batch.named()["pixel_values"])


def audio_encode(model: Any, batch: Batch) -> Callable[[], Any]:
    """Encode the sound alone."""
    given = batch.named()
    names = [name for name in ("input_features", "input_values") if name in given]
    return partial(model.get_audio_features, **{name: given[name] for name in names})


def text_encode(model: Any, batch: Batch) -> Callable[[], Any]:
    """Encode the texts alone."""
    return partial(model.get_text_features, input_ids=batch.named()["input_ids"])


def forward(model: Any, batch: Batch) -> Callable[[], Any]:
    """Encode both and compare each image with each text."""
    return partial(batch.call, model)
