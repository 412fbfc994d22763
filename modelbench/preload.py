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

import modelbench.serve  # noqa: F401  (brings all that stages measure with)
from modelbench.measure.flops import count_macs
from modelbench.worker import PRELOAD


def _unless_cut_short(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say nothing of a worker whose order was cut short: the job was stopped, and has said so."""
    if not issubclass(kind, EOFError):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _unless_cut_short

logging.disable(logging.CRITICAL)
for target in filter(None, os.environ.get(PRELOAD, "").split(",")):
    try:
        get_object(target)
    except (Exception, SystemExit):  # noqa: PERF203  (the worker imports it again, and reports it)
        continue
logging.disable(logging.NOTSET)

# The first count makes torch import what takes it a second. On the meta device nothing is
# computed, so that no thread exists in the server when it forks.
layer = nn.Linear(1, 1, device="meta")
count_macs(layer, lambda: layer(torch.empty(1, 1, device="meta")))
