"""Gets ready what counts MACs.

The first count takes a process a second longer: torch imports, and learns how to take each
operation apart. Here it does so for the usual layers, on tensors so small that it computes them in
this very thread: no other of its own may exist in the server when it forks.
"""

import torch
from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.counting import count

layers = [
    nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
    nn.ConvTranspose2d(2, 1, 2, 2), nn.Flatten(), nn.Linear(16, 4), nn.LayerNorm(4),
]  # fmt: skip
count(nn.Sequential(*layers).eval(), Batch((torch.zeros(1, 1, 4, 4),), {}), here=False)
