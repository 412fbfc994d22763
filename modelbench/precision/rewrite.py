"""Layers in disguise: the same arithmetic, in the layers that quantizers know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from modelbench.precision.bake import bake


def rewrite(model: nn.Module) -> nn.Module:
    """Replace such layers in place, with weights that are computed once, and give the model.

    transformers' `Conv1D` is a Linear with its weight transposed, a Conv1d is a Conv2d of height
    1, and a ConvTranspose2d is a Conv2d whose channels are then spread over space.
    """
    made: dict[int, nn.Module | None] = {}  # a layer may stand in several places
    for path, layer in list(bake(model).named_modules(remove_duplicate=False)):
        known = KNOWN.get(type(layer).__name__)
        if known is None or not path:
            continue
        if id(layer) not in made:
            made[id(layer)] = known(layer)
            _look_alike(made[id(layer)], layer)
        replaced = made[id(layer)]
        if replaced is not None:
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, replaced.train(layer.training))
    return model


def _look_alike(replaced: nn.Module | None, layer: nn.Module) -> None:
    """Let a model that asks a layer for its stride, or its weight's type, still have an answer."""
    for name, value in vars(layer).items() if replaced is not None else ():
        if not name.startswith("_") and not hasattr(replaced, name):
            setattr(replaced, name, value)


class _Wrapped(nn.Module):
    """A layer around the convolution that does its work."""

    conv: nn.Conv2d

    @property
    def weight(self) -> Tensor:
        """The convolution's, for its type and device."""
        return self.conv.weight

    @property
    def bias(self) -> Tensor | None:
        """The convolution's."""
        return self.conv.bias


class Flat(_Wrapped):
    """A Conv1d: `[b, c, l]` to `[b, c', l']`."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        padding = layer.padding if isinstance(layer.padding, str) else (0, layer.padding[0])
        self.conv = nn.Conv2d(
            layer.in_channels, layer.out_channels, (1, layer.kernel_size[0]),
            (1, layer.stride[0]), padding, (1, layer.dilation[0]), layer.groups,
            layer.bias is not None, device="meta",
        )  # fmt: skip
        _fill(self.conv, layer.weight.unsqueeze(2), layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve."""
        outputs: Tensor = self.conv(inputs.unsqueeze(-2)).squeeze(-2)
        return outputs


class Subpixel(_Wrapped):
    """A ConvTranspose2d: `[b, c, h, w]` to `[b, c', h', w']`.

    Output s n + q is the sum over j of x[n - j] w[s j + q]: for each of the s remainders q an
    ordinary convolution (Shi et al. 2016, arXiv:1609.07009).
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        s = self.stride = layer.stride[0]
        self._sizes = [_Side(layer, axis) for axis in (0, 1)]
        (high, wide), (down, across) = layer.kernel_size, [-(-k // s) for k in layer.kernel_size]
        weight = F.pad(layer.weight.detach(), (0, across * s - wide, 0, down * s - high))
        inner, outer = weight.shape[:2]
        weight = weight.reshape(inner, outer, down, s, across, s).flip(2, 4)
        weight = weight.permute(3, 5, 1, 0, 2, 4).flatten(0, 2)  # q_y, q_x, o, then c, t_y, t_x
        self.conv = nn.Conv2d(
            inner, len(weight), (down, across), bias=layer.bias is not None,
            padding=(down - 1, across - 1), device="meta",
        )  # fmt: skip
        _fill(self.conv, weight, layer.bias, repeated=s * s)

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve, spread the channels, and cut off the padding."""
        # Not F.pixel_shuffle, whose order of channels scatters what lies together in channels_last.
        spread = self.conv(inputs).unflatten(1, (self.stride, self.stride, -1))
        outputs: Tensor = spread.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)
        for axis, side in enumerate(self._sizes, start=2):
            length = side.length(inputs.shape[axis])
            if side.padding or length != outputs.shape[axis]:
                outputs = outputs.narrow(axis, side.padding, length)
        return outputs


class _Side:
    """One of the two spatial axes of a ConvTranspose2d."""

    def __init__(self, layer: nn.ConvTranspose2d, axis: int) -> None:
        self.padding = int(layer.padding[axis])
        self._kernel, self._stride = layer.kernel_size[axis], layer.stride[axis]
        self._more = int(layer.output_padding[axis])

    def length(self, count: int) -> int:
        """Return the output's length for an input's."""
        return (count - 1) * self._stride - 2 * self.padding + self._kernel + self._more

    def fits(self) -> bool:
        """Return whether the spread channels are as long as the output is to be."""
        spread = -(-self._kernel // self._stride) * self._stride
        return self._kernel + self._more - self.padding <= spread


def _linear(layer: Any) -> nn.Module:
    inputs, outputs = layer.weight.shape
    made = nn.Linear(inputs, outputs, device="meta")
    _fill(made, layer.weight.t(), layer.bias)
    return made


def _subpixel(layer: Any) -> nn.Module | None:
    even = layer.stride[0] == layer.stride[1] and set(layer.dilation) == {1}
    fits = all(_Side(layer, axis).fits() for axis in (0, 1))
    return Subpixel(layer) if layer.groups == 1 and even and fits else None


def _flat(layer: Any) -> nn.Module | None:
    return Flat(layer) if layer.padding_mode == "zeros" else None


KNOWN: dict[str, Callable[[Any], nn.Module | None]] = {
    "Conv1D": _linear,
    "Conv1d": _flat,
    "ConvTranspose2d": _subpixel,
}


def _fill(
    made: nn.Linear | nn.Conv2d, weight: Tensor, bias: Tensor | None, repeated: int = 1
) -> None:
    """Set a layer's weight and bias, the bias `repeated` times."""
    made.weight = nn.Parameter(weight.detach().contiguous())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().repeat(repeated))
