"""How much of a model's output survives another precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.inputs.tensors import named_tensors
from modelbench.measurement.hooks import hookable


@dataclass(frozen=True)
class Fidelity:
    """One output held against another."""

    sqnr_db: float | None
    """Signal to quantization noise ratio; None where the outputs are equal to the last bit."""
    cosine: float
    max_abs_error: float
    """In the units of the output."""
    top1_agreement: float | None
    """Share of positions, pixels or samples with the same most likely class; None without any."""


@dataclass(frozen=True)
class Spread:
    """The fidelity of several samples, where the ratio of equal outputs is infinite."""

    sqnr_db: float
    """The middle one."""
    sqnr_db_min: float
    cosine: float
    """The middle one."""
    max_abs_error: float
    """The greatest."""
    top1_agreement: float | None
    """Over all samples."""

    @classmethod
    def of(cls, each: Sequence[Fidelity]) -> Spread:
        """Put one or more together."""
        ratios = [math.inf if found.sqnr_db is None else found.sqnr_db for found in each]
        agreed = [found.top1_agreement for found in each if found.top1_agreement is not None]
        return cls(
            median(ratios),
            min(ratios),
            median(found.cosine for found in each),
            max(found.max_abs_error for found in each),
            sum(agreed) / len(agreed) if agreed else None,
        )


def fidelity(reference: Any, outputs: Any) -> Fidelity:
    """Compare all floating tensors of two outputs, which have the same ones in the same order.

    For the ratio and the cosine each is divided by the root mean square of its reference, so that
    none drowns another.
    """
    signal = noise = product = power = greatest = 0.0
    pairs = list(zip(floating(reference).items(), floating(outputs).values(), strict=True))
    for (_, wanted), found in pairs:
        scale = wanted.square().mean().sqrt().clamp_min(1e-30)
        a, b = (wanted / scale).flatten(), (found / scale).flatten()
        signal += float(a @ a)
        power += float(b @ b)
        product += float(a @ b)
        noise += float((a - b).square().sum())
        greatest = max(greatest, float((wanted - found).abs().max()))
    (name, wanted), found = pairs[0]
    return Fidelity(
        10 * math.log10(signal / noise) if noise and signal else None,
        product / math.sqrt(signal * power) if signal and power else 1.0,
        greatest,
        _top1(name, wanted, found),
    )


def floating(outputs: Any) -> dict[str, Tensor]:
    """Return the floating tensors of an output in double precision, on the CPU.

    A complex one has its real and imaginary parts as its last dimension.
    """
    named = {name: _real(tensor.detach()) for name, tensor in named_tensors(outputs).items()}
    return {name: t.cpu().double() for name, t in named.items() if t.is_floating_point()}


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _top1(name: str, wanted: Tensor, found: Tensor) -> float | None:
    """Compare classes: the axis after the batch of images, else the last; one class is a sign."""
    if not (name == "0" or "logits" in name) or wanted.ndim < 2:
        return None
    axis = 1 if wanted.ndim == 4 else -1
    if wanted.shape[axis] > 1:
        same = wanted.argmax(axis) == found.argmax(axis)
    elif wanted.ndim == 4:
        same = (wanted > 0) == (found > 0)
    else:
        return None
    return float(same.double().mean())


def first_not_finite(model: nn.Module, call: Callable[[], Any]) -> str | None:
    """Run `call` and name the first layer that made NaN or infinity of finite input.

    Layers within others come first; where one of these made it outside of its own, it is named.
    """
    found: list[str] = []

    def note(path: str) -> Callable[..., None]:
        def hook(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if not found and all_finite([args, kwargs]) and not all_finite(output):
                found.append(f"{type(layer).__name__} {path}".strip())

        return hook

    hooks = [
        module.register_forward_hook(note(path), with_kwargs=True)
        for path, module in hookable(model)
    ]
    try:
        with torch.inference_mode():
            call()
    finally:
        for each in hooks:
            each.remove()
    return found[0] if found else None


def all_finite(value: Any) -> bool:
    """Return whether every floating tensor within is finite; takes no memory to speak of."""
    tensors = [_real(tensor) for tensor in named_tensors(value).values()]
    floats = [t for t in tensors if t.is_floating_point() and t.numel()]
    return all(bool(torch.isfinite(bound)) for t in floats for bound in torch.aminmax(t))
