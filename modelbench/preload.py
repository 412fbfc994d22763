"""What the fork server imports once, so that every worker has it from the start."""
# ruff: noqa: E402

import logging
import os
import signal
import sys
from typing import Any

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the job's to handle, also while we import

import torch
from hydra.utils import get_object
from torch import nn

import modelbench.plots.canvas
import modelbench.serve
from modelbench.batch import Batch
from modelbench.measure.counting import count
from modelbench.system.accelerator import left_alone
from modelbench.worker import PRELOAD


def _unless_cut_short(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say nothing of a worker whose order was cut short: the job was stopped, and has said so."""
    if not issubclass(kind, EOFError):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _unless_cut_short

logging.disable(logging.CRITICAL)
with left_alone():
    for target in filter(None, os.environ.get(PRELOAD, "").split(",")):
        try:
            get_object(target)
        except (Exception, SystemExit):  # noqa: PERF203  (the worker imports it again, and reports)
            continue
logging.disable(logging.NOTSET)

modelbench.plots.canvas.panels()  # imports what every plot is drawn with

# The first count takes a process half a second longer: torch imports, and learns how to take each
# operation apart. Here it does so for the usual layers, on tensors so small that it computes them
# in this very thread: no other of its own may exist in the server when it forks.
layers = [
    nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
    nn.ConvTranspose2d(2, 1, 2, 2), nn.Flatten(), nn.Linear(16, 4), nn.LayerNorm(4),
]  # fmt: skip
count(nn.Sequential(*layers).eval(), Batch((torch.zeros(1, 1, 4, 4),), {}), here=False)
