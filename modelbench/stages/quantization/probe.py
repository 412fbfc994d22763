"""Whether a processor computes in a type, or has it emulated; and calls that may take too long."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.nn.functional import conv2d

from modelbench.measurement.hooks import hookable
from modelbench.system.accelerator import synchronize


class TooSlow(Exception):  # noqa: N818  (a result, not an error)
    """A call was given up."""


def slowdown(dtype: torch.dtype, device: torch.device) -> float:
    """Return how many times longer a small product or convolution takes in `dtype` than in float32.

    The worse of the two, in one thread: another process that is busy does not change the ratio.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return max(
            _least_s(act(dtype, device), device) / _least_s(act(torch.float32, device), device)
            for act in (_product, _convolution)
        )
    finally:
        torch.set_num_threads(threads)


def call_within(seconds: float, model: nn.Module, call: Callable[[], Any]) -> Any:
    """Make a call of `model`, and give its output.

    Raises TooSlow before the first layer that would begin later than `seconds` from now.
    """
    end = perf_counter() + seconds

    def check(*_: Any) -> None:
        if perf_counter() > end:
            raise TooSlow

    hooks = [layer.register_forward_pre_hook(check) for _, layer in hookable(model)]
    try:
        with torch.inference_mode():
            return call()
    finally:
        for hook in hooks:
            hook.remove()


def _product(dtype: torch.dtype, device: torch.device) -> Callable[[], Any]:
    factor = torch.ones(192, 192, dtype=dtype, device=device)
    return lambda: factor @ factor


def _convolution(dtype: torch.dtype, device: torch.device) -> Callable[[], Any]:
    image = torch.ones(1, 32, 32, 32, dtype=dtype, device=device)
    weight = torch.ones(32, 32, 3, 3, dtype=dtype, device=device)
    return lambda: conv2d(image, weight)


def _least_s(call: Callable[[], Any], device: torch.device) -> float:
    least = float("inf")
    with torch.inference_mode():
        call()
        for _ in range(5):
            synchronize(device)
            start = perf_counter()
            call()
            synchronize(device)
            least = min(least, perf_counter() - start)
    return least
