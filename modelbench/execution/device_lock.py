"""One job at a time on a device, whatever a launcher starts at once; and who else is here."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock

from modelbench.system.cache import cache_folder
from modelbench.system.file_name import file_name

RUNNING = "running"


@contextmanager
def alone_on(device: str, sweep: Path | None) -> Iterator[None]:
    """Wait until no other job of the sweep has the device on this machine."""
    if sweep is None:
        yield
        return
    name = device if ":" in device or device in {"cpu", "mps"} else f"{device}:0"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # two jobs may each call theirs cuda:0
    lock = sweep / ".locks" / file_name(f"{socket.gethostname()}-{name}-{visible}")
    lock.parent.mkdir(exist_ok=True)
    with FileLock(f"{lock}.lock"):
        yield


@contextmanager
def known_here() -> Iterator[None]:
    """Let other jobs on this machine know of this process."""
    file = cache_folder() / RUNNING / str(os.getpid())
    with suppress(OSError):  # a cache that cannot be written: then nobody knows
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{psutil.Process().create_time()}", encoding="ascii")
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def others_here() -> int:
    """Count the other jobs that run on this machine."""
    count = 0
    with suppress(OSError):
        for file in (cache_folder() / RUNNING).iterdir():
            if file.name.isdigit() and int(file.name) != os.getpid():
                count += _lives(file)
    return count


def _lives(file: Path) -> bool:
    """Return whether a process still runs; what a killed one has left is removed."""
    try:
        started = float(file.read_text(encoding="ascii"))
        if abs(psutil.Process(int(file.name)).create_time() - started) < 2:
            return True
    except (psutil.Error, OSError, ValueError):
        pass
    file.unlink(missing_ok=True)
    return False
