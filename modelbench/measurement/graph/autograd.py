"""The graph that autograd keeps for the backward pass, as torchviz draws it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torchviz import make_dot

from modelbench.inputs.batch import Batch
from modelbench.models.workload import Workload
from modelbench.results import Skip


@dataclass(frozen=True)
class Autograd:
    """The graph below a loss."""

    model: str
    """Its class."""
    source: str
    """In Graphviz's language."""
    operations: int
    """Nodes: operations, and the parameters and tensors that they keep."""


DEEP = 10_000
"""Calls within calls: torchviz takes one for each operation in a row."""


@contextmanager
def _deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def autograd(workload: Workload, model: nn.Module, batch: Batch) -> Autograd:
    """Return the graph of the workload's loss; raises Skip where nothing is trained."""
    with torch.enable_grad():
        loss = workload.loss(batch.call(model), batch)
    if loss.grad_fn is None:
        raise Skip("the loss does not depend on any trainable parameter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torchviz still asks distutils
        with _deep():
            graph = make_dot(loss, params=dict(model.named_parameters()))
    return Autograd(type(model).__name__, graph.source, sum("[" in line for line in graph.body))
