"""Models with one fault each, and losses that are none."""

import random
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modelbench.inputs.batch import Batch


class Net(nn.Module):
    """A small network of images without a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = self.normalisation()
        self.last = nn.Linear(4, 5)

    def normalisation(self) -> nn.Module:
        """Return the layer in the middle."""
        return nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Take `[b, 3, h, w]`, give `[b, 5]`."""
        logits: Tensor = self.last(self.pooled(images))
        return logits

    def pooled(self, images: Tensor) -> Tensor:
        """Return `[b, 4]`."""
        pooled: Tensor = self.norm(self.first(images)).relu().mean((2, 3))
        return pooled


class Detached(Net):
    """The gradient does not reach the first layer."""

    def pooled(self, images: Tensor) -> Tensor:
        """Let go of it."""
        return super().pooled(images).detach()


class HalfFrozen(Net):
    """The first layer was forgotten when the others were thawed."""

    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)


class Frozen(Net):
    """All is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)


class Moves(HalfFrozen):
    """What is frozen moves all the same."""

    def forward(self, images: Tensor) -> Tensor:
        """Change a frozen weight."""
        self.first.weight.data += 0.01
        return super().forward(images)


class NaNLater(Net):
    """The first layer breaks down in the sixth step."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = Breaks()


class Breaks(nn.Module):
    """Give NaN from the sixth call in training on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """Count."""
        self.calls += self.training
        return x * (float("nan") if self.calls > 5 else 1.0)


class Loud(Net):
    """It begins with the belief that all is of the first class."""

    def __init__(self) -> None:
        super().__init__()
        self.last.bias.data[0] = 10.0


class Leaks(Net):
    """Statistics are taken over the batch in evaluation mode too."""

    def normalisation(self) -> nn.Module:
        """Return the usual mistake."""
        return nn.BatchNorm2d(4, track_running_stats=False)


class Eights(Net):
    """Takes multiples of 8 only, from 16 to 64."""

    def pooled(self, images: Tensor) -> Tensor:
        """Refuse others."""
        size = images.shape[-1]
        if size % 8 or not 16 <= size <= 64:
            raise ValueError(f"cannot take {size} pixels")
        return super().pooled(images)


class OneSize(Net):
    """Has a layer that knows the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4 * 32 * 32, 5)

    def pooled(self, images: Tensor) -> Tensor:
        """Keep all pixels."""
        pixels: Tensor = self.first(images).flatten(1)
        return pixels


class Dies(Net):
    """Ends the process at 48 pixels."""

    def pooled(self, images: Tensor) -> Tensor:
        """End it, where numbers are computed."""
        if images.shape[-1] == 48 and type(images) is Tensor:
            import os

            os._exit(7)
        return super().pooled(images)


class DiesTraining(Net):
    """Ends the process when it is really trained."""

    def pooled(self, images: Tensor) -> Tensor:
        """End it."""
        if self.training and type(images) is Tensor:
            import os

            os._exit(7)
        return super().pooled(images)


class Spike(Net):
    """Holds 512 MiB for 50 ms."""

    def pooled(self, images: Tensor) -> Tensor:
        """Take memory and give it back."""
        if type(images) is Tensor or images.requires_grad:
            held = bytearray(b"1") * (512 * 2**20)
            time.sleep(0.05)
            del held
        return super().pooled(images)


class Counts(Net):
    """Keeps something that its state_dict does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, images: Tensor) -> Tensor:
        """Depend on how often this was called."""
        self.steps += self.training
        return super().forward(images) * (1 + self.steps / 10)


class Masked(Net):
    """Masks its images in training, as wav2vec 2 does, by NumPy's and Python's random numbers."""

    def forward(self, images: Tensor) -> Tensor:
        """Leave out a row."""
        if self.training:
            row = np.random.randint(images.shape[2])
            images = images.index_fill(2, torch.tensor([row]), random.random())
        return super().forward(images)


class Normed(Net):
    """The convolution's bias goes under in the normalisation, so that its gradient is rounding."""

    def normalisation(self) -> nn.Module:
        """Normalise."""
        return nn.BatchNorm2d(4)


class Random(Net):
    """Is another one each time, in evaluation as well."""

    def forward(self, images: Tensor) -> Tensor:
        """Add noise."""
        logits = super().forward(images)
        return logits + 0.05 * torch.randn_like(logits)


class Outside(Net):
    """What breaks is not in a layer of its own."""

    def pooled(self, images: Tensor) -> Tensor:
        """Take the logarithm of numbers that may be negative."""
        return super().pooled(images).sub(10).log()


class Dictionary(Net):
    """Returns a plain dict."""

    def forward(self, images: Tensor) -> Any:
        """Name the output."""
        return {"logits": super().forward(images)}


class Sequence(nn.Module):
    """Takes time before samples, and something that has no samples at all."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Take `[t, b, 8]` and `[t]`, give `[t, b, 8]`."""
        out: Tensor = self.layer(x + places[:, None, None])
        return out


class Single(Net):
    """Takes one sample at a time."""

    def pooled(self, images: Tensor) -> Tensor:
        """Refuse others."""
        if len(images) != 1:
            raise ValueError(f"cannot take {len(images)} samples")
        return super().pooled(images)


class NaNGradient(Net):
    """The loss is a number, and its gradient is none."""

    def pooled(self, images: Tensor) -> Tensor:
        """Take the root of zero."""
        return super().pooled(images) + (images[:, :1].mean((2, 3)) * 0 * self.last.bias[0]).sqrt()


class Nothing(nn.Module):
    """A model without parameters."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean."""
        return images.mean((2, 3))


class Half(torch.optim.SGD):
    """An optimizer that takes half of the step it says."""

    def step(self, closure: Any = None) -> Any:
        """Halve the learning rate behind the back."""
        for group in self.param_groups:
            group["lr"] /= 2
        super().step(closure)
        for group in self.param_groups:
            group["lr"] *= 2


def constant(outputs: Tensor, batch: Batch) -> Tensor:
    """Depend on nothing."""
    return (outputs * 0).sum() + 1.0


def detached(outputs: Tensor, batch: Batch) -> Tensor:
    """Lose the gradient."""
    return outputs.detach().square().mean()


def not_a_number(outputs: Tensor, batch: Batch) -> Tensor:
    """Divide by zero."""
    return outputs.sum() / 0 * 0


def many(outputs: Tensor, batch: Batch) -> Tensor:
    """Forget to reduce."""
    return outputs.square()


class Early(Net):
    """Takes 75 pixels or more."""

    least, greatest = 75, 10**9

    def pooled(self, images: Tensor) -> Tensor:
        """Refuse others."""
        if not self.least <= images.shape[-1] <= self.greatest:
            raise ValueError(f"cannot take {images.shape[-1]} pixels")
        return super().pooled(images)


class Late(Early):
    """Takes 2,048 pixels or fewer."""

    least, greatest = 1, 2048


class Positions(Net):
    """Looks each column up among 100, which shapes alone do not show."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Embedding(100, 3)

    def pooled(self, images: Tensor) -> Tensor:
        """Add what it knows of the columns."""
        known = self.places(torch.arange(images.shape[-1], device=images.device))
        return super().pooled(images + known.T[:, None])


class Numbers(Net):
    """Looks at numbers, so that shapes alone are not enough; takes 5 to 50 pixels."""

    def pooled(self, images: Tensor) -> Tensor:
        """Refuse others."""
        if not 5 <= images.shape[-1] <= 50 or float(images.sum()) == 1e9:
            raise ValueError(f"cannot take {images.shape[-1]} pixels")
        return super().pooled(images)


class Integers(Net):
    """Returns classes, which have no gradient."""

    def forward(self, images: Tensor) -> Tensor:
        """Choose."""
        return super().forward(images).argmax(-1)


class Normalised(Net):
    """Returns what a normalisation keeps at the same size."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, images: Tensor) -> Tensor:
        """Normalise."""
        logits = super().forward(images)
        return nn.functional.layer_norm(logits, [5], self.last.weight.sum(1), self.last.bias)


class Scripted(Net):
    """Has a part that takes no hooks, and shapes alone are enough for."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.jit.script(nn.Identity())


class States(nn.Module):
    """Returns its states beside its output: their second dimension is the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(3, 4, num_layers=2, batch_first=True)

    def forward(self, images: Tensor) -> Any:
        """Read the columns' means one by one."""
        return self.rows(images.mean(2).transpose(1, 2))
