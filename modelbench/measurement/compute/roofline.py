"""Where the time of a call goes: to computing, or to moving data (Williams et al. 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelbench.measurement.compute.peaks import Peaks


@dataclass(frozen=True)
class Place:
    """A call on the roofline."""

    macs: int
    bytes: int
    seconds: float
    peaks: Peaks

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation: the share of the attainable rate of MACs."""
        return self.macs / self.seconds / self.peaks.macs_per_s

    @property
    def bandwidth(self) -> float:
        """Bytes moved in a second over the attainable; over 1 where caches served them."""
        return self.bytes / self.seconds / self.peaks.bytes_per_s

    @property
    def intensity(self) -> float:
        """MACs for each byte."""
        return self.macs / self.bytes if self.bytes else 0.0

    @property
    def bound(self) -> Literal["compute", "bandwidth", "overhead"]:
        """What the time went to: the greater share, or neither where both are under a tenth."""
        if max(self.mfu, self.bandwidth) < 0.1:
            return "overhead"
        return "compute" if self.mfu >= self.bandwidth else "bandwidth"
