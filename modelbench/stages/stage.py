"""What every stage is: a frozen dataclass whose fields are the keys of its YAML.

A stage's file imports torch only where it runs, since the command line is checked against these
classes before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelbench.results import Further, Report

if TYPE_CHECKING:
    import torch

    from modelbench.models.workload import Workload


LONGEST = 10_000_000
"""Seconds; some months."""

COUNTING, PLOTS = "modelbench.execution.preload.counting", "modelbench.execution.preload.plots"
"""What the fork server can get ready."""


@dataclass(frozen=True)
class Context:
    """Where a stage runs."""

    device: torch.device
    schemes: Mapping[str, Any]
    """Precision schemes to compare, by name; None is single precision as built."""
    directory: Path
    """The job's folder; artifacts go below it."""
    scratch: Path
    """For large files; emptied after each stage, also after one that was killed."""
    say: Callable[[str], None]
    """Shows the person who waits what is going on; not to be called while the clock runs."""
    keep: Callable[[Report, str, Mapping[str, Any]], None] = lambda *_: None
    """Keeps what was found so far should the stage's process die: the report, the part that is to
    begin now, and the settings with which to go on without it, empty where nothing comes after."""
    further: Further | None = None
    """In a further process: what it is to add to."""
    runtimes: Mapping[str, Any] = field(default_factory=dict)
    """Runtimes to compare, by name; None is eager PyTorch."""
    command: str = ""
    """The command line that repeats the job."""


@dataclass(frozen=True)
class Stage:
    """The keys that every stage has."""

    needs_values: ClassVar[bool] = True
    """Whether it is skipped for a model that was built without memory."""

    timeout_s: float = 300.0
    """Seconds after which the stage is ended and has failed."""

    def __post_init__(self) -> None:
        """Check the time limit."""
        positive("timeout_s", self.timeout_s)

    def preloads(self) -> tuple[str, ...]:
        """Name what the fork server shall import for it, while the job gets ready."""
        return COUNTING, PLOTS

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Run on a fresh model; raise `Skip` where the stage does not apply."""
        raise NotImplementedError


def positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is over zero and no more than clocks can wait."""
    if not 0 < value <= LONGEST:
        raise ValueError(f"{name}={value}: expected more than 0 and at most {LONGEST:,}")
