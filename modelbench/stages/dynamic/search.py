"""The search for the sizes that a model takes: its step, then either border, by halving."""

from __future__ import annotations

from collections.abc import Callable

from modelbench.stages.dynamic.constraints import SizeConstraints

MOST_STEP = 64
"""Greatest divisor that is looked for, beside those of the usual size."""
NEAR = 3
"""Steps on either side of the usual size and of each border within which each size is tried."""
FAR = 64
"""Times the usual size up to which a limit is looked for."""


def find_constraints(
    works: Callable[[int], bool], size: int, late: Callable[[], bool], far: int | None = None
) -> SizeConstraints:
    """Find what works about `size`, which does, up to `far`; ends early once it is `late`."""
    search = _Search(works, size, late)
    try:
        search.find(FAR * size if far is None else far)
    except _Late:
        return SizeConstraints(size, search.step, search.known, complete=False)
    return SizeConstraints(size, search.step, search.known)


class _Late(Exception):  # noqa: N818  (no error)
    """The time is up."""


class _Search:
    """One search, which remembers what it tried."""

    def __init__(self, works: Callable[[int], bool], size: int, late: Callable[[], bool]) -> None:
        self._works, self._size, self._late = works, size, late
        self.known = {size: True}
        self.step: int | None = None

    def find(self, far: int) -> None:
        """Find the step, then the border on either side, then look around each."""
        self.step = step = self._find_step()
        if step is None:
            return
        size = self._size
        low = self._reach(-step, (size - 1) // step)
        high = self._reach(step, max(0, far - size) // step)
        for place in (size, low, high):
            for count in range(-NEAR, NEAR + 1):
                if place + count * step <= max(far, size):
                    self._try(place + count * step)

    def _find_step(self) -> int | None:
        """Find the least distance at which others work."""
        size = self._size
        if self._try(size + 1) or self._try(size - 1):
            return 1
        # What halves an image several times comes first: fewer are to be tried.
        powers = [2**n for n in range(1, MOST_STEP.bit_length())]
        others = [k for k in range(3, MOST_STEP + 1) if k not in powers]
        # Beyond that, what divides the usual size: windows and patches.
        wide = [k for k in range(MOST_STEP + 1, size + 1) if size % k == 0]
        steps = [*powers, *others, *wide]
        above = next((k for k in steps if self._try(size + k)), None)
        return above or next((k for k in steps if self._try(size - k)), None)

    def _reach(self, step: int, most: int) -> int:
        """Find the last size that works in one direction, within so many steps."""
        size, count, reached = self._size, 1, 0
        while reached < most:
            count = min(count, most)
            for one in (count, count + 1):  # where the next one works, it is but a hole
                if self._try(size + one * step):
                    reached, count = one, 2 * count
                    break
            else:
                good, bad = size + reached * step, size + count * step
                return border(self._try, good, bad, abs(step), lambda: False)[0]
        return size + reached * step

    def _try(self, size: int) -> bool:
        if size < 1:
            return False
        if size not in self.known:
            if self._late():
                raise _Late
            self.known[size] = self._works(size)
        return self.known[size]


def border(
    works: Callable[[int], bool], good: int, bad: int, step: int, late: Callable[[], bool]
) -> tuple[int, int]:
    """Halve the distance between a size that works and one that does not, whichever is greater."""
    while abs(bad - good) > step and not late():
        middle = good + int((bad - good) // step / 2) * step
        good, bad = (middle, bad) if works(middle) else (good, middle)
    return good, bad
