"""A workload whose model is built without memory, where its shapes are enough."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from torch import nn

from modelbench.inputs.batch import Batch
from modelbench.models.shapes import Shapes
from modelbench.models.workload import Workload
from modelbench.results import Skip

log = logging.getLogger(__name__)
T = TypeVar("T")


def fake_if_possible(workload: Workload, act: Callable[[nn.Module, Batch], T]) -> T:
    """Act on the model and its input without memory, or with it where shapes are not enough."""
    if workload.fake is None:
        try:
            return on_fake_tensors(workload, act)
        except Skip:
            raise
        except Exception:  # which operations refuse shapes alone cannot be listed
            log.info("the model cannot run with fake tensors", exc_info=True)
    return _on(workload, act)


def on_fake_tensors(workload: Workload, act: Callable[[nn.Module, Batch], T]) -> T:
    """Act on the model and its input without memory; weights are never read."""
    return _on(replace(workload, fake=Shapes(), pretrained=None), act)


def _on(workload: Workload, act: Callable[[nn.Module, Batch], T]) -> T:
    model, batch = workload.build(), workload.batch()
    with workload.computing():
        return act(model, batch)
