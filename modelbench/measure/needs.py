"""Which sizes of an axis a model takes, found by trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

MOST_STEP = 64
"""Greatest divisor that is looked for."""
HOLES = 4
"""Steps above the usual size within which each size is tried."""
DOUBLINGS = 3
"""How far above the usual size a limit is looked for."""


@dataclass(frozen=True)
class Needs:
    """The sizes that work: `least`, and every `step` from there, up to `greatest`."""

    step: int | None
    """None where the usual size is the only one."""
    least: int
    greatest: int | None
    """None where no limit was found."""
    complete: bool = True
    """Whether there was time to find all of it."""
    hole: int | None = None
    """A size among them that does not work all the same."""

    @property
    def divisor(self) -> int | None:
        """What every size is a multiple of; None where they are at a fixed distance only."""
        return self.step if self.step and self.least % self.step == 0 else None

    def upto(self, greatest: int) -> Needs:
        """Give the same with a limit."""
        return replace(self, greatest=greatest)

    def told(self) -> str:
        """Say it in words."""
        if self.step is None and not self.complete:
            return f"{self.least:,}; no time was left to find others"
        if self.step is None:
            return f"{self.least:,} only, of those that were tried"
        if self.step == 1:
            kind = "any size"
        elif self.divisor:
            kind = f"any multiple of {self.step}"
        else:
            kind = f"every {self.step}th size"
        upto = "up" if self.greatest is None else f"to {self.greatest:,}"
        if self.hole is not None:
            kind = kind.replace("any", "some")
        but = f", but not {self.hole:,}" if self.hole is not None else ""
        return f"{kind} from {self.least:,} {upto}{but}"


def find_needs(works: Callable[[int], bool], size: int, late: Callable[[], bool]) -> Needs:
    """Find what works about `size`, which does; ends early once it is `late`."""
    # Beyond that, what divides the usual size: windows and patches.
    wide = [k for k in range(MOST_STEP + 1, size + 1) if size % k == 0]
    steps = [*range(1, MOST_STEP + 1), *wide]
    step = next((k for k in steps if not late() and works(size + k)), None)
    if step is None:
        below = range(1, min(MOST_STEP, size - 1) + 1)
        step = next((k for k in below if not late() and works(size - k)), None)
        if step is None:
            return Needs(None, size, size, complete=not late())
        return Needs(step, _least(works, size, step, late), size, complete=not late())
    least = _least(works, size, step, late)
    greatest, top = None, size
    for _ in range(DOUBLINGS):
        above = top + max(step, top // step * step)
        if late():
            break
        if not works(above):
            greatest = last_that_works(works, top, above, step, late)
            break
        top = above
    return Needs(step, least, greatest, not late(), _hole(works, size, step, late))


def _hole(
    works: Callable[[int], bool], size: int, step: int, late: Callable[[], bool]
) -> int | None:
    """Find a size that does not work below one that does."""
    tried = {size + k * step: not late() and works(size + k * step) for k in range(2, HOLES + 1)}
    if late():
        return None
    return next((n for n in tried if not tried[n] and any(tried[m] for m in tried if m > n)), None)


def _least(works: Callable[[int], bool], size: int, step: int, late: Callable[[], bool]) -> int:
    """Find the least size that works, trying from below, where sizes are quick."""
    first = size % step or step
    for tried in range(first, min(size, first + MOST_STEP * step), step):
        if late():
            return size
        if works(tried):
            return tried
    return size


def last_that_works(
    works: Callable[[int], bool], low: int, high: int, step: int, late: Callable[[], bool]
) -> int:
    """Halve the distance between `low`, which works, and `high`, which does not."""
    while high - low > step and not late():
        middle = low + (high - low) // (2 * step) * step
        low, high = (middle, high) if works(middle) else (low, middle)
    return low
