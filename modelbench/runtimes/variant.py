"""One way to run a model, and what is told of it between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One way to run a model."""

    runtime: str = "eager"
    precision: str = "fp32"
    engine: Mapping[str, Any] | None = None
    """The runtime's YAML, None for eager PyTorch."""
    scheme: Mapping[str, Any] | None = None
    """The precision's, None for single precision."""
    threads: int | None = None
    """None for as many as there are."""
    channels_last: bool = False
    batch_size: int | None = None

    @property
    def label(self) -> str:
        """Name it in a few words."""
        more = [f"{self.threads} threads" if self.threads and self.threads > 1 else ""]
        more += ["1 thread" if self.threads == 1 else ""]
        more += ["channels_last" if self.channels_last else ""]
        more += [f"batch {self.batch_size}" if self.batch_size else ""]
        return ", ".join(filter(None, [f"{self.runtime} {self.precision}", *more]))


@dataclass(frozen=True)
class Ready:
    """What came of exporting and loading it."""

    export_s: float
    load_s: float
    first_call_ms: float
    size_mib: float
    """Of the files that would be deployed."""
    coverage: float | None = None
    falls_back: tuple[str, ...] = ()
    programs: int = 0
    """Exported."""
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    bound: bool = False
    """Whether samples are of the program alone, with its inputs bound."""


@dataclass(frozen=True)
class Artifact:
    """What a script has to know to run what was written."""

    file: str
    threads: int
    dtype: str
    """Of floating inputs, as Python writes it."""
    device: str
    """Its kind: cpu, cuda."""
    compiles: bool
    quantized: bool
    """Whether it holds torchao's operators."""
