"""What torchvision's segmentation models are trained towards."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.losses import brightness, starts_at


@starts_at(lambda outputs, batch: math.log(max(2, outputs["out"].shape[1])))  # noqa: ARG005
def segmentation(outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """Cross-entropy of pixels, as `modelbench.losses.brightness`, of the output `out`."""
    return brightness(outputs["out"], batch)
