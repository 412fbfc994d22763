"""What the fork server imports once, so that every worker has it from the start.

This package is imported by the fork server alone. Its other modules are what stages name in
`preloads`: each gets something ready as it is imported.
"""
# ruff: noqa: E402

import gc
import logging
import os
import signal
import sys
from typing import Any

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the job's to handle, also while we import
gc.disable()

from hydra.utils import get_object

import modelbench.execution.worker_main  # noqa: F401  (and torch with it)
from modelbench.execution.protocol import PRELOAD
from modelbench.system.accelerator import left_alone


def _unless_cut_short(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Report nothing of a worker whose job spec was cut short: the job was stopped."""
    if not issubclass(kind, EOFError):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _unless_cut_short

logging.disable(logging.CRITICAL)
with left_alone():
    for target in filter(None, os.environ.get(PRELOAD, "").split(",")):
        try:
            get_object(target)
        except (Exception, SystemExit):
            continue
logging.disable(logging.NOTSET)

# Modules stay for good: no worker needs to look through them, nor copy their pages as it does.
gc.collect()
gc.freeze()
gc.enable()
