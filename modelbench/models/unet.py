"""The U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with padding and BatchNorm."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each followed by BatchNorm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """Encoder and decoder joined by skip connections.

    Takes `[batch, input_channels, height, width]`, both sides multiples of 16; gives `[batch,
    num_classes, height, width]` logits.
    """

    def __init__(
        self,
        input_channels: int = 3,
        num_classes: int = 1,
        widths: tuple[int, ...] = (64, 128, 256, 512, 1024),
    ) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = DoubleConv(input_channels, widths[0])
        self.pool = nn.MaxPool2d(2)
        self.encoder = nn.ModuleList(DoubleConv(a, b) for a, b in pairs)
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in reversed(pairs))
        self.decoder = nn.ModuleList(DoubleConv(2 * a, a) for a, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Segment `images`."""
        levels = [self.stem(images)]
        for block in self.encoder:
            levels.append(block(self.pool(levels[-1])))
        x = levels.pop()
        for upsample, block in zip(self.upsample, self.decoder, strict=True):
            x = block(torch.cat([levels.pop(), upsample(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits
