# %% [markdown]
# # A module of your own
#
# `modelbench.measure` runs the stages of the command line for a module in hand, each in a process
# of its own: nothing of this one changes, and a stage that dies leaves it alive.

# %%
import torch
from torch import nn

import modelbench


class Classifier(nn.Module):
    """Two convolutions and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Take `[b, 3, s, s]`."""
        return self.head(self.body(images).mean((2, 3)))


net = Classifier()
images = torch.randn(1, 3, 64, 64)

# %% [markdown]
# The layer table, at once and in this process:

# %%
modelbench.summary(net, images)

# %% [markdown]
# How fast it is and how much memory it takes. The sizes to sweep follow from the input's shape.

# %%
results = modelbench.measure(net, images, test=["structure", "benchmark", "memory"])
results

# %%
print(f"{results['benchmark/forward/p50_ms']:.3f} ms, {results['structure/macs_g']:.4f} GMACs")
print(results.to_pandas().head())
print("again from the shell:", results.command)
