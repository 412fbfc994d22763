"""Batches of several samples: where a workload's input has its samples, and unlike ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from modelbench.inputs.batch import Batch
from modelbench.models.workload import Workload

MOST_BYTES = 2**28
"""What the inputs of unseen samples may hold."""
FAR = 1000
"""Seeds from here on are no calibration's."""


def sample_dims(workload: Workload) -> dict[str, int]:
    """Return the dimension in which each input has its samples; one that has none is left out."""
    if "batch_size" not in workload.axes:
        return {}
    few, more = (workload.batch(batch_size=count).named() for count in (2, 3))
    pairs = {name: (t.shape, more[name].shape) for name, t in few.items()}
    return {
        name: next(d for d, (a, b) in enumerate(zip(*shapes, strict=True)) if a != b)
        for name, shapes in pairs.items()
        if shapes[0] != shapes[1]
    }


def mixed_batch(workload: Workload, least: int = 2) -> Batch:
    """Make a batch of two samples or more, every second one of other content."""
    if "batch_size" not in workload.axes:
        return workload.batch()
    count = max(least, workload.axes["batch_size"])
    if not workload.takes("batch_size", count):
        count = workload.axes["batch_size"]
    own, dims = workload.batch(batch_size=count), sample_dims(workload)
    (other,) = workload.calibration(1, batch_size=count)
    theirs = other.named()

    def mixed(name: str, tensor: Tensor) -> Tensor:
        if name not in dims:
            return tensor
        rows = torch.arange(count, device=tensor.device)
        shape = [count if d == dims[name] else 1 for d in range(tensor.ndim)]
        return torch.where(rows.reshape(shape) % 2 == 0, tensor, theirs[name])

    return own.holding({name: mixed(name, t) for name, t in own.named().items()})


def unseen(workload: Workload, count: int) -> Iterator[Batch]:
    """Make the workload's own batch and others of its sizes and of other content."""
    own = workload.batch()
    yield own
    count = min(count, MOST_BYTES // max(1, sum(t.nbytes for t in own.named().values())))
    size, places = workload.axes.get("batch_size", 0), sample_dims(workload)
    together = size * count
    if count > 1 and places and workload.takes("batch_size", together):
        many = workload.batch(batch_size=together).named()
        for start in range(size, together, size):
            # A copy, since a part of a larger tensor may be laid out otherwise than a whole one.
            parts = {n: many[n].narrow(d, start, size).contiguous() for n, d in places.items()}
            yield own.holding({**own.named(), **parts})
    else:
        for number in range(1, count):
            yield replace(workload, seed=workload.seed + FAR + number).batch()
