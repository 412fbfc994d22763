"""What a way to run a model has to keep to, and how far one is from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelbench.runtimes.variant import Variant


@dataclass
class Tried:
    """One way to run the model, and what came of it."""

    variant: Variant
    p50_ms: float | None = None
    relative: float | None = None
    """Its time in times of the default's, interleaved."""
    sqnr_db: float | None = None
    """Against single precision in eager PyTorch; None where not known yet, infinity of equals."""
    size_mib: float | None = None
    drop: float | None = None
    """With data: of accuracy, or of perplexity relatively."""
    export_s: float = 0.0
    lost: str | None = None
    """Why it is not the one; None of those that were tried to the end within the bounds."""
    samples: int = 0
    usual_items: int = 1
    """Samples in the workload's own batch."""
    by_sample: bool = False
    """Whether times are compared by sample, as throughput asks, and not by call."""

    @property
    def items(self) -> int:
        """Samples in a call."""
        return self.variant.batch_size or self.usual_items

    @property
    def share(self) -> float:
        """What its batch is in times of the default's, where samples count; else 1."""
        return self.items / self.usual_items if self.by_sample else 1.0

    @property
    def time(self) -> float | None:
        """What is compared, in times of the default's."""
        return None if self.relative is None else self.relative / self.share


@dataclass(frozen=True)
class Bounds:
    """None where there is none."""

    min_sqnr_db: float
    max_drop: float | None = None
    max_mib: float | None = None
    max_latency_ms: float | None = None
    told: tuple[str, ...] = field(default=())

    def broken(self, tried: Tried) -> list[str]:
        """Return which bounds it does not keep, a few words each."""
        found = []
        if tried.sqnr_db is not None and tried.sqnr_db < self.min_sqnr_db:
            found.append(f"{tried.sqnr_db:.1f} dB, under {self.min_sqnr_db:g}")
        if self.max_drop is not None and tried.drop is not None and tried.drop > self.max_drop:
            found.append(f"loses {tried.drop:.2%}, over {self.max_drop:.2%}")
        if (
            self.max_mib is not None
            and tried.size_mib is not None
            and (tried.size_mib > self.max_mib)
        ):
            found.append(f"{tried.size_mib:,.1f} MiB, over {self.max_mib:g}")
        if (
            self.max_latency_ms is not None
            and tried.p50_ms is not None
            and (tried.p50_ms > self.max_latency_ms)
        ):
            found.append(f"{tried.p50_ms:,.3g} ms, over {self.max_latency_ms:g}")
        return found

    def distance(self, tried: Tried) -> float:
        """Return how far it is from the bounds, 0 within: the sum of relative excesses."""
        far = 0.0
        if tried.sqnr_db is not None:
            far += max(0.0, self.min_sqnr_db - tried.sqnr_db) / max(1.0, abs(self.min_sqnr_db))
        if self.max_drop is not None and tried.drop is not None:
            far += max(0.0, tried.drop - self.max_drop)
        if self.max_mib is not None and tried.size_mib is not None:
            far += max(0.0, tried.size_mib / self.max_mib - 1)
        if self.max_latency_ms is not None and tried.p50_ms is not None:
            far += max(0.0, tried.p50_ms / self.max_latency_ms - 1)
        return far


def score(tried: Tried, objective: str) -> float:
    """Return what is to be small."""
    if objective == "memory":
        return tried.size_mib if tried.size_mib is not None else float("inf")
    return float("inf") if tried.time is None else tried.time


def pareto(tried: list[Tried]) -> list[Tried]:
    """Return those that no other one beats in speed, size and fidelity at once."""
    known = [t for t in tried if t.time and t.size_mib is not None and t.sqnr_db is not None]

    def beats(one: Tried, other: Tried) -> bool:
        first = (one.time, one.size_mib, -(one.sqnr_db or 0.0))
        second = (other.time, other.size_mib, -(other.sqnr_db or 0.0))
        pairs = list(zip(first, second, strict=True))
        return all(a <= b for a, b in pairs if a is not None and b is not None) and any(
            a < b for a, b in pairs if a is not None and b is not None
        )

    return [t for t in known if not any(beats(o, t) for o in known)]
