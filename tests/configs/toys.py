"""Small models for the tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modelbench.inputs import Draw
from modelbench.inputs.batch import Batch
from modelbench.results import Skip


class Toy(nn.Module):
    """One linear layer."""

    def __init__(self, width: int = 4, factor: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Take `[batch, width]`, give `[batch, 2]`."""
        logits: Tensor = self.linear(x) * self.factor
        return logits


class Scaled(nn.Module):
    """A layer that no scheme reaches."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Take and give `[batch, width]`."""
        scaled: Tensor = self.norm(x)
        return scaled


class Encoder(nn.Module):
    """Tokens and a label in, `hidden` times the label's embedding out, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(50, 8)
        self.labels = nn.Embedding(3, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, tokens: Tensor, *, label: Tensor) -> "Encoded":
        """Take `[batch, length]` and `[batch]`."""
        x = self.tokens(tokens)
        x = self.attention(x, x, x)[0]
        return Encoded(x, {"pooled": x.mean(1) * self.labels(label)})


@dataclass
class Encoded:
    """An output that is a dataclass."""

    hidden: Tensor
    more: dict[str, Tensor]


class Silent(nn.Module):
    """A model that returns no tensor."""

    def forward(self, x: Tensor) -> str:
        """Return text."""
        return f"{x.shape}"


class Broken(nn.Module):
    """A model whose output is not finite."""

    def forward(self, x: Tensor) -> Tensor:
        """Divide by zero."""
        return x / torch.zeros_like(x)


class Licensed:
    """An input source that cannot be made."""

    def __init__(self) -> None:
        raise ValueError("licence missing")


class Uncalibrated:
    """An input source that gives NaN where quantization looks."""

    def __init__(self, shape: tuple[int | str, ...]) -> None:
        self.width = int(shape[1])

    def axes(self) -> tuple[str, ...]:
        """Name the axes."""
        return ("batch_size",)

    def __call__(self, draw: Draw) -> Tensor:
        """Return ones, or NaN."""
        value = 1.0 if draw.calibration is None else float("nan")
        return torch.full((draw.sizes["batch_size"], self.width), value)


def no_module() -> str:
    """Build what is no module."""
    return "a string"


def mean_of(model: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    """Prepare a phase of one's own."""
    x = batch.named()["x"]
    return lambda: model(x).mean()


def never(model: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    """Say that the phase does not apply."""
    raise Skip("not here")


class Numbers(nn.Module):
    """Looks at its numbers, which shapes alone do not have."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Go one way or the other."""
        out: Tensor = self.layer(x) if float(x.sum()) > -1e9 else x
        return out


class Lazy(nn.Module):
    """Returns a generator, so that nothing has run when forward returns."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the output later."""
        yield self.layer(x)
