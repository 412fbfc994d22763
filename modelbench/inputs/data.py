"""Labelled data that a model can learn from; a model's YAML names it as `data`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from modelbench.inputs import Draw
from modelbench.inputs.batch import Batch


class Data(Protocol):
    """Makes batches with labels at the sizes of a draw, on the CPU."""

    def training(self, draw: Draw) -> Iterator[Batch]:
        """Return batches in an order that the draw's seed decides, without end."""

    def test(self, draw: Draw) -> Iterator[Batch]:
        """Return what training does not see, once."""
