"""What the job process and its workers say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelbench.results import Further
from modelbench.system.forking import FORKS

PRELOAD = "MODELBENCH_PRELOAD"
"""Environment variable: targets that the fork server imports beside torch."""
SCRATCH = ".scratch"
"""Folder below the job's for large files of one stage; the job removes it, whatever happens."""


@dataclass(frozen=True)
class JobSpec:
    """What a worker is to prepare."""

    config: Mapping[str, Any]
    axes: Mapping[str, int]
    directory: Path
    smaller: str
    """Smaller sizes to advise where memory runs out."""
    command: str = ""
    """The command line that repeats the job."""
    forked: bool = FORKS
    """Whether the worker is a fork of a process that has imported torch."""


@dataclass(frozen=True)
class Task:
    """What a worker is asked to run."""

    stage: str
    given: Mapping[str, Any] = field(default_factory=dict)
    """Settings other than the job's."""
    further: Further | None = None
    """What earlier processes have left to this one."""


@dataclass(frozen=True)
class Ready:
    """What a worker found when it had prepared."""

    device: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    poisoned: str = ""
    """The kind of device that a fork cannot use, since its driver was started before."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """What was found out of the model's section: the way of giving its input that it runs on."""
