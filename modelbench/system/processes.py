"""Whether a process that was known before is still the one of its number."""

from __future__ import annotations

import psutil


def since_boot(process: psutil.Process) -> float:
    """Return when a process started, in seconds; a clock that is set does not change it."""
    return process.create_time() - psutil.boot_time()


def lives(pid: int, started: float) -> bool:
    """Return whether the process of that number is one that started then, since the boot."""
    try:
        return abs(since_boot(psutil.Process(pid)) - started) < 2
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
