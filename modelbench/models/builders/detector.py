"""Detectors of torchvision, which take a list of images and, in training, what is to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch


class Detector(nn.Module):
    """Calls a detector with a batch of images.

    In training each image is said to show one thing, in its middle, since nothing is labelled.
    """

    def __init__(self, model: nn.Module, keypoints: int = 17) -> None:
        super().__init__()
        self.model = model
        self.keypoints = keypoints

    def forward(self, images: Tensor) -> Any:
        """Return a mapping of boxes, labels and scores for each image; in training, the losses."""
        each = list(images.unbind(0))
        if not self.training:
            return self.model(each)
        return self.model(each, [self._target(image) for image in each])

    def _target(self, image: Tensor) -> dict[str, Tensor]:
        height, width = image.shape[-2:]
        x, y = width / 2, height / 2
        mask = image.new_zeros((1, height, width), dtype=torch.uint8)
        mask[:, height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
        return {
            "boxes": image.new_tensor([[x / 2, y / 2, x * 3 / 2, y * 3 / 2]]),
            "labels": torch.ones(1, dtype=torch.int64, device=image.device),
            "masks": mask,
            "keypoints": image.new_tensor([[[x, y, 1.0]] * self.keypoints]),
        }


def detection(outputs: Any, batch: Batch) -> Tensor:  # noqa: ARG001  (every loss takes both)
    """Take the sum of a detector's own losses, or in evaluation the sum of its scores."""
    if isinstance(outputs, Mapping):
        return torch.stack([loss.float() for loss in outputs.values()]).sum()
    found: Sequence[Mapping[str, Tensor]] = outputs
    return torch.cat([one["scores"].float() for one in found]).sum()
