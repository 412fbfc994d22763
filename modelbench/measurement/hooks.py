"""Modules that take hooks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn


def hookable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield each module with its path but for scripted ones, which take no hooks of Python's."""
    for path, module in model.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            yield path, module
