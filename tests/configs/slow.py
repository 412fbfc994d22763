"""Layers that are slow for one reason each, and models that trouble a profiler."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

WIDE = 192


class Sleeps(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        time.sleep(0.03)
        return rows


class Copies(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        large = rows.new_zeros(256, WIDE, 64)
        for _ in range(4):
            large = large.clone()
        return rows + large[:1, 0, 0].reshape(1, 1)


class Double(nn.Linear):
    def __init__(self) -> None:
        super().__init__(WIDE, 8 * WIDE)
        self.double()

    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows.double()).float()


class Denormal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1024, 1024), 1e-41))

    def forward(self, rows: Tensor) -> Tensor:
        return rows + self.weight.sigmoid()[0, 0]


class Scattered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4096, 1024).t())

    def forward(self, rows: Tensor) -> Tensor:
        return rows + self.weight.softmax(-1)[0, 0]


class Among(nn.Module):
    """One slow layer among quick ones."""

    def __init__(self, slow: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(WIDE, WIDE)
        self.slow = slow
        self.after = nn.LazyLinear(8)

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.after(self.slow(self.before(rows)))
        return found


class Recursive(nn.Module):
    """Calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, rows: Tensor, depth: int = 2) -> Tensor:
        rows = self.linear(rows)
        found: Tensor = self(rows, depth - 1) if depth else rows
        return found


class Shared(nn.Module):
    """Calls one layer twice, of two names, and another one by its method."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.second = self.first
        self.named = nn.Linear(8, 8)

    def forward(self, rows: Tensor) -> Tensor:
        return self.named.forward(self.second(self.first(rows)))


class Yields(nn.Module):
    """Works when it is asked for the next value."""

    def forward(self, rows: Tensor) -> Iterator[Tensor]:
        for _ in range(3):
            time.sleep(0.004)
            yield rows


class Driven(nn.Module):
    """Asks a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.source = Yields()

    def forward(self, rows: Tensor) -> Tensor:
        return torch.stack(list(self.source(rows))).sum(0)


class Replaces(nn.Module):
    """Has another layer after each call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, rows: Tensor) -> Tensor:
        self.layer = nn.Linear(8, 8)
        found: Tensor = self.layer(rows)
        return found


class Threaded(nn.Module):
    """Calls a layer from another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.aside = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, rows: Tensor) -> Tensor:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(self.aside(rows.clone())))
        thread.start()
        thread.join()
        rows = self.layer(rows)
        more: int = found[0].shape[0]
        return rows + more


class Catches(nn.Module):
    """Goes on after a layer has raised."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.layer = nn.Linear(3, 3), nn.Linear(8, 8)

    def forward(self, rows: Tensor) -> Tensor:
        with suppress(RuntimeError):
            self.narrow(rows)
        found: Tensor = self.layer(rows)
        return found


class Profiles(nn.Module):
    """Runs a profiler of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 8)

    def forward(self, images: Tensor) -> Tensor:
        with torch.profiler.profile():
            found: Tensor = self.layer(images)
        return found


class Half(nn.Module):
    """Is scripted in part."""

    def __init__(self) -> None:
        super().__init__()
        self.scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
        self.layer = nn.Linear(8, 8)

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.layer(self.scripted(rows))
        return found


class Breaks(nn.Module):
    """Cannot be compiled in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, rows: Tensor) -> Tensor:
        rows = self.first(rows)
        if rows.sum().item() > 0:
            rows = rows + 1
        found: Tensor = self.second(rows)
        return found


class BreaksOnImages(nn.Module):
    """Looks at numbers, so that it cannot be exported."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 8)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(images)
        return found + 1 if found.sum().item() > 0 else found
