"""Which sizes of an axis a model takes, as far as they were tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

NAMED = 5
"""Exceptions that are named."""


@dataclass(frozen=True)
class SizeConstraints:
    """What was tried, and what follows from it: nothing else is claimed."""

    usual: int
    step: int | None
    """Distance of the sizes that work; None where no other one was found."""
    known: Mapping[int, bool]
    """Whether each size that was tried works."""
    complete: bool = True
    """Whether there was time to find all of it."""

    @property
    def divisor(self) -> int | None:
        """What every size is a multiple of; None where they are at a fixed distance only."""
        return self.step if self.step and self.usual % self.step == 0 else None

    @property
    def floor(self) -> int:
        """The least size that there could be."""
        return (self.usual % self.step or self.step) if self.step else self.usual

    @property
    def least(self) -> int:
        """The least that works, and everything from there as far as it was tried."""
        return self._low[0]

    @property
    def below(self) -> int | None:
        """The nearest tried size under `least`, which does not work; None without any."""
        return self._low[1]

    @property
    def most(self) -> int:
        """The greatest that was tried and works; there may be greater ones without `above`."""
        return self._high[0]

    @property
    def above(self) -> int | None:
        """The nearest tried size over `most`, which does not work; None without any."""
        return self._high[1]

    @property
    def greatest(self) -> int | None:
        """The greatest that works; None where no limit was found."""
        return self.most if self.step is None or self.above is not None else None

    @property
    def holes(self) -> list[int]:
        """Sizes among those that work which do not."""
        return [n for n in self._on if self.least < n < self.most and not self.known[n]]

    @property
    def also(self) -> list[int]:
        """Sizes that work beside those."""
        inside = {n for n in self._on if self.least <= n <= self.most}
        return sorted(n for n, good in self.known.items() if good and n not in inside)

    @cached_property
    def _on(self) -> list[int]:
        if self.step is None:
            return [self.usual]
        return sorted(n for n in self.known if (n - self.usual) % self.step == 0)

    @cached_property
    def _start(self) -> int:
        """The usual size, or where that does not work the nearest that does."""
        good = [n for n in self._on if self.known[n]]
        return min(good, key=lambda n: abs(n - self.usual), default=self.usual)

    @cached_property
    def _low(self) -> tuple[int, int | None]:
        return self._border([n for n in reversed(self._on) if n < self._start])

    @cached_property
    def _high(self) -> tuple[int, int | None]:
        return self._border([n for n in self._on if n > self._start])

    def _border(self, outward: Iterable[int]) -> tuple[int, int | None]:
        """Return the last size that works and the first that does not; one alone is a hole."""
        last, failed = self._start, list[int]()
        for size in outward:
            if not self.known[size]:
                failed.append(size)
            elif len(failed) > 1:
                break
            else:
                last, failed = size, []
        return last, failed[0] if failed else None

    def claims(self, size: int) -> bool:
        """Return whether the sentence says of a size that it works."""
        if size in self.known:
            return self.known[size]
        if self.step is None or (size - self.usual) % self.step:
            return False
        return self.least <= size and (self.greatest is None or size <= self.greatest)

    def revised(self, ran: Mapping[int, bool]) -> SizeConstraints:
        """Return what follows once these sizes were run.

        Where a run contradicts what was known, nothing else on its side of the usual size is
        believed.
        """
        wrong = [n for n, good in ran.items() if good != self.claims(n)]
        sides = {n > self.usual for n in wrong if n != self.usual}
        kept = {n: good for n, good in self.known.items() if (n > self.usual) not in sides}
        return replace(self, known={self.usual: True} | kept | dict(ran))

    def told(self, run: int | None = None) -> str:
        """Return it in words; `run` is the greatest size that was run, if not all were."""
        if self.step is None:
            sizes = sorted({self._start, *self.also})
            if not self.complete and len(sizes) == 1:
                return f"{sizes[0]:,}; no time was left to search for others"
            only = " only" if len(sizes) == 1 else ""
            return f"{_listed(sizes)}{only}, of the sizes tried"
        kind = f"steps of {self.step}"
        if self.step == 1:
            kind = "any size"
        elif self.divisor:
            kind = f"any multiple of {self.step}"
        if self.holes:
            kind = kind.replace("any", "some")
        upto = "up" if self.greatest is None else f"to {self.greatest:,}"
        but = f", but not {_listed(self.holes)}" if self.holes else ""
        beside = f", and {_listed(self.also)}" if self.also else ""
        how = "; ".join(self._how(run))
        return f"{kind} from {self.least:,} {upto}{but}{beside}" + (f" ({how})" if how else "")

    def _how(self, run: int | None) -> Iterable[str]:
        """Name the other side of each border, and how far it was tried."""
        step, beyond = self.step or 1, [n for n in (self.below, self.above) if n is not None]
        if beyond:
            yield f"{_listed(beyond)} {'does' if len(beyond) == 1 else 'do'} not work"
        for low, high in ((self.below, self.least), (self.most, self.above)):
            if low is not None and high is not None and high - low > step:
                yield f"none tried between {low:,} and {high:,}"
        if run is not None and run < self.most:
            yield (f"run up to {run:,}, " if run else "") + f"shape-only up to {self.most:,}"
        elif self.above is None:
            yield f"tried up to {self.most:,}"
        if not self.complete:
            yield "search incomplete"


def _listed(sizes: list[int]) -> str:
    """Name some."""
    words = [f"{size:,}" for size in sizes[:NAMED]]
    if len(sizes) > NAMED:
        words.append(f"{len(sizes) - NAMED} more")
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
