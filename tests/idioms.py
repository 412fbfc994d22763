"""Models that are written in other ways than the usual."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations


def lazy() -> nn.Module:
    """Build layers that learn their sizes from the first input."""
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)
    )


class Scripted(nn.Module):
    """A scripted part between two that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Flatten())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.inner = torch.jit.script(inner.eval())
        self.last = nn.Linear(4 * 36, 5)

    def forward(self, x: Tensor) -> Any:
        """Take `[batch, 3, 8, 8]`."""
        return self.last(self.inner(self.first(x)))


class Shared(nn.Module):
    """One layer, called three times under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.other = self.one

    def forward(self, x: Tensor, times: int = 2, *_: Any, scale: float = 1.0, **__: Any) -> Any:
        """Take `[..., 8]`; the other arguments have defaults."""
        for _time in range(times):
            x = self.one(x)
        return {"deep": [(self.other(x) * scale,)]}


class Complex(nn.Module):
    """Multiplies complex numbers by complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 5, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        """Take real `[batch, 8]`, and give the magnitudes."""
        return (x.to(torch.complex64) @ self.weight).abs()


def spectral() -> nn.Module:
    """Build a layer whose weight is divided by its greatest singular value in each call."""
    layer: nn.Module = parametrizations.spectral_norm(nn.Linear(8, 5))
    return layer


def traced() -> nn.Module:
    """Build a layer of which only the trace is left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        trace: Any = torch.jit.trace
        layer: nn.Module = trace(nn.Linear(8, 5).eval(), torch.rand(3, 8))
    return layer


def weighted() -> nn.Module:
    """Build a layer whose weight is a direction and a length."""
    layer: nn.Module = parametrizations.weight_norm(nn.Linear(8, 5))
    return layer


class Measured(nn.Module):
    """Looks at numbers while it is made, as RegNet does, and ties two of its weights."""

    def __init__(self) -> None:
        super().__init__()
        widths = [int(width) for width in torch.arange(4, 10, 2).round().tolist()]
        pairs = itertools.pairwise([*widths, widths[0]])
        self.layers = nn.Sequential(*(nn.Linear(a, b) for a, b in pairs))
        self.again = nn.Linear(widths[0], widths[1])
        self.again.weight = self.layers.get_parameter("0.weight")
        self.register_buffer("steps", torch.arange(3))

    def forward(self, x: Tensor) -> Tensor:
        """Pass through all."""
        given: Tensor = self.again(self.layers(x))
        return given
