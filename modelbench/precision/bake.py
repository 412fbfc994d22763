"""Weights that a model computes anew in every call, computed once."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


@torch.no_grad()
def bake(model: nn.Module) -> nn.Module:
    """Put the result in the place of every parametrised weight, and give the model.

    What quantizes the weight itself would have its work overwritten in the next call.
    """
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
                _register(module, name)
        for hook in list(module._forward_pre_hooks.values()):
            _unhook(module, hook)
    return model


def _register(module: nn.Module, name: str) -> None:
    """Make it a parameter again, which one that came of several is not."""
    value = getattr(module, name)
    if not isinstance(value, nn.Parameter) and name not in module._buffers:
        delattr(module, name)
        module.register_parameter(name, nn.Parameter(value.detach()))


def _unhook(module: nn.Module, hook: Any) -> None:
    """Do so for the older kind, in which a hook sets the weight before each call."""
    if isinstance(hook, WeightNorm):
        remove_weight_norm(module, hook.name)
    elif isinstance(hook, SpectralNorm):
        remove_spectral_norm(module, hook.name)
    elif isinstance(hook, prune.BasePruningMethod):
        prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
