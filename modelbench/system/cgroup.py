"""What a control group lets this process have: containers, systemd and Slurm set such limits.

Both versions are read, cgroups(7), as the process sees them: its own group and all above it, of
which the tightest counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

GIB = 2**30
UNLIMITED = 2**60
"""Bytes from which on a limit of version 1 is none: its default is a rounded 2**63."""


@dataclass(frozen=True)
class Memory:
    """A limit of memory, in bytes."""

    limit: int
    available: int
    """What is left of it, where cached files that can be dropped count as free."""
    hits: int
    """How often the group ran into it."""

    def __str__(self) -> str:
        """Name the limit for a message."""
        return f"{self.limit / GIB:.2f} GiB"


def memory(root: Path = Path("/")) -> Memory | None:
    """Return the tightest limit of memory; None where there is none."""
    found = [each for group, old in _groups(root, "memory") if (each := _memory(group, old))]
    return min(found, key=lambda each: each.available, default=None)


def available_memory() -> int:
    """Return how many bytes this process could have: of the machine, and of its control group."""
    free: int = psutil.virtual_memory().available
    limit = memory()
    return free if limit is None else min(free, limit.available)


def cores(root: Path = Path("/")) -> float | None:
    """Return how many cores' worth of time the tightest quota gives; None where there is none."""
    quotas = (_cores(group, old) for group, old in _groups(root, "cpu"))
    return min((each for each in quotas if each is not None), default=None)


def usable_cores() -> float:
    """Return how many cores this process may use, by its affinity and its quota."""
    here: float = psutil.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        here = len(os.sched_getaffinity(0))
    quota = cores()
    return here if quota is None else min(here, quota)


def throttled(root: Path = Path("/")) -> int:
    """Return in how many periods a quota has stopped this process's group."""
    return max((_statistic(group, "cpu.stat", "nr_throttled") for group, _ in _groups(root, "cpu")),
               default=0)  # fmt: skip


def _memory(group: Path, old: bool) -> Memory | None:
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    if not old:
        names = ("memory.max", "memory.current", "inactive_file")
    limit, used = _number(group / names[0]), _number(group / names[1])
    if limit is None or limit >= UNLIMITED or used is None:
        return None
    held = used - _statistic(group, "memory.stat", names[2])
    hits = _number(group / "memory.failcnt") if old else _statistic(group, "memory.events", "max")
    return Memory(limit, max(0, limit - held), hits or 0)


def _cores(group: Path, old: bool) -> float | None:
    if old:
        limit = _number(group / "cpu.cfs_quota_us")
        period = _number(group / "cpu.cfs_period_us")
    else:
        limit, period = (_number(group / "cpu.max", at) for at in (0, 1))
    return limit / period if limit and period and limit > 0 else None


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of this process's group and of those above it; True where version 1."""
    mounts = list(_mounts(root))
    for line in _text(root / "proc/self/cgroup").splitlines():  # not there but on Linux
        _, controllers, path = line.split(":", 2)
        old = controllers != ""
        if old and controller not in controllers.split(","):
            continue
        for top, place, options in mounts:
            if old == (options is not None) and (not old or controller in (options or ())):
                yield from ((each, old) for each in _upwards(root, top, place, path))


def _upwards(root: Path, top: str, place: str, path: str) -> Iterator[Path]:
    """Yield the folder of a group below a mount of `top` at `place`, and those above it."""
    mount = root / place.lstrip("/")
    # A container may see its host's path, of which its mount shows the end alone.
    below = path.removeprefix(top.rstrip("/")) if path.startswith(top) else ""
    folder = mount / below.strip("/")
    while folder != mount:
        yield folder
        folder = folder.parent
    yield mount


def _mounts(root: Path) -> Iterator[tuple[str, str, list[str] | None]]:
    """Yield root and place of each mount, and the controllers of one of version 1."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        fields, (kind, _, options) = mount.split(), system.split()[:3]
        if kind in {"cgroup", "cgroup2"}:
            yield fields[3], fields[4], options.split(",") if kind == "cgroup" else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not there, or not ours to see
        return ""


def _number(file: Path, at: int = 0) -> int | None:
    """Return one number of a line; None where there is none, such as the word 'max'."""
    words = _text(file).split()
    return _whole(words[at]) if len(words) > at else None


def _statistic(group: Path, file: str, name: str) -> int:
    """Return one line's number of a file with a name and a number in each."""
    for line in _text(group / file).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _whole(value) or 0
    return 0


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
