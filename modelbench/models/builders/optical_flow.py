"""What torchvision's models of optical flow are trained towards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch


def pan(outputs: Sequence[Tensor], batch: Batch, pixels: int) -> Tensor:  # noqa: ARG001
    """Take the mean distance from the flow of a pan to the right by so many pixels.

    `outputs` are the refined flows, `[b, 2, h, w]` each, in x and in y.
    """
    flows = torch.stack([flow.float() for flow in outputs])
    true = torch.tensor([-float(pixels), 0.0], device=flows.device)[:, None, None]
    return (flows - true).square().sum(2).add(1e-12).sqrt().mean()
