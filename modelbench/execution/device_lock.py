"""One job at a time on a device, whatever a launcher starts at once; and who else is here."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock

from modelbench.results.json_file import write_text
from modelbench.system.cache import cache_folder
from modelbench.system.file_name import file_name
from modelbench.system.processes import lives, since_boot

RUNNING = "running"


@contextmanager
def alone_on(device: str, sweep: Path | None) -> Iterator[None]:
    """Wait until no other job of the sweep has the device on this machine."""
    if sweep is None:
        yield
        return
    names = ["cpu", "cuda:0"] if device == "auto" else [device]  # which it is torch alone knows
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # two jobs may each call theirs cuda:0
    folder = sweep / ".locks"
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        for name in names:
            whole = name if ":" in name or name in {"cpu", "mps"} else f"{name}:0"
            lock = file_name(f"{socket.gethostname()}-{whole}-{visible}")
            stack.enter_context(FileLock(folder / f"{lock}.lock"))
        yield


@contextmanager
def known_here() -> Iterator[None]:
    """Let other jobs on this machine know of this process."""
    file = _folder() / str(os.getpid())
    with suppress(OSError):  # a cache that cannot be written: then nobody knows
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, f"{since_boot(psutil.Process())}")
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def others_here() -> int:
    """Count the other jobs that run on this machine."""
    count = 0
    with suppress(OSError):
        for file in _folder().iterdir():
            if file.name.isdigit() and int(file.name) != os.getpid():
                count += _runs(file)
    return count


def _folder() -> Path:
    """Return where this machine's are noted: a home may be that of several."""
    return cache_folder() / RUNNING / file_name(socket.gethostname())


def _runs(file: Path) -> bool:
    """Return whether a process still runs; what a killed one has left is removed."""
    with suppress(OSError, ValueError):
        if lives(int(file.name), float(file.read_text(encoding="utf-8"))):
            return True
    with suppress(OSError):
        file.unlink(missing_ok=True)
    return False
