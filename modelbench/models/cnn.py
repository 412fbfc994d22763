"""The classic small convolutional classifier."""

from torch import Tensor, nn


class SimpleCNN(nn.Module):
    """Three 3x3 convolutions, two poolings, one linear layer.

    Takes `[batch, input_channels, height, width]`, both sides at least 4; gives `[batch,
    num_classes]` logits.
    """

    def __init__(self, input_channels: int = 3, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(input_channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Linear(128, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Classify `images`."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits
