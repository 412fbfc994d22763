"""Phases and models of which one part fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from modelbench.inputs.batch import Batch
from modelbench.results import Metric


def unprepared(model: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    """Fail before there is a call."""
    raise KeyError("no tokenizer")


def uncalled(model: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    """Fail when called."""

    def call() -> Tensor:
        raise MemoryError("64 GiB")

    return call


class Untold:
    """A phase whose own figures fail."""

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        self._model, self._batch = model, batch

    def __call__(self) -> Any:
        """Run the model."""
        return self._batch.call(self._model)

    def figures(self, samples: int) -> dict[str, Metric]:
        """Fail."""
        raise ZeroDivisionError("no image")


class Few(nn.Module):
    """Takes no more than two samples."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Take `[1 or 2, 4]`."""
        if len(x) > 2:
            raise ValueError("at most two samples")
        result: Tensor = self.linear(x)
        return result


class Awkward(Few):
    """Runs, but is neither saved, nor copied, nor taken apart."""

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Fail."""
        raise NotImplementedError("no state")

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot pickle a socket")

    def parts(self, batch: Batch) -> Mapping[str, Batch]:
        """Fail."""
        raise LookupError("which parts?")

    def apply(self, *args: Any) -> Any:
        """Fail, as torchinfo uses it."""
        raise RuntimeError("not to be applied")


class Stops(Few):
    """Never runs."""

    def forward(self, x: Tensor) -> Tensor:
        """Fail."""
        raise RuntimeError("not today\nand more")


class DiesLater(Few):
    """Ends the third process that builds it."""

    def __init__(self, width: int = 4, *, count: str) -> None:
        super().__init__(width)
        file = Path(count)
        known = file.read_text(encoding="utf-8").split() if file.exists() else []
        processes = list(dict.fromkeys([*known, str(os.getpid())]))
        file.write_text(" ".join(processes), encoding="utf-8")
        if processes.index(str(os.getpid())) == 2:
            os._exit(9)


class FailsAtFirst(nn.Module):
    """Raises in the first process that builds it, and works in all others."""

    def __init__(self, width: int = 4, *, count: str) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        file = Path(count)
        first = file.read_text(encoding="utf-8") if file.exists() else str(os.getpid())
        file.write_text(first, encoding="utf-8")
        if first == str(os.getpid()):
            raise RuntimeError("the first")

    def forward(self, x: Tensor) -> Any:
        """Run the layer."""
        return self.layer(x)
