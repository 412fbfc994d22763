"""An object in a process of its own, that does one thing at a time when it is asked."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from modelbench.measurement.isolated import Ended, ended_how, portable
from modelbench.system.accelerator import enter
from modelbench.system.forking import FORKS

log = logging.getLogger(__name__)


class Remote:
    """Waits without taking time while it is not asked; its thread pools disturb no other's.

    Forked, so the process that makes it must not have computed anything; spawned on Windows and
    where an accelerator is in use, and then `make` has to pickle.
    """

    def __init__(self, make: Callable[[], Any], device: torch.device) -> None:
        """Start the process; the object is made when it is first asked."""
        method = "fork" if FORKS and device.type == "cpu" else "spawn"
        context: Any = multiprocessing.get_context(method)
        self._ours, theirs = context.Pipe()
        threads = torch.get_num_threads() if method == "spawn" else None
        self._process = context.Process(target=_serve, args=(theirs, make, threads, device))
        self._process.start()
        theirs.close()

    def ask(self, name: str, *args: Any, until: float | None = None) -> Any:
        """Return what the object's method returns.

        Raises what it raises, Ended where the process dies, and TimeoutError at `until`, by
        `time.monotonic`.
        """
        if self.closed:
            raise TimeoutError("the time limit was reached")
        try:
            self._ours.send((name, args))
            left = None if until is None else max(0.0, until - time.monotonic())
            if not wait([self._ours], left):
                self.close()
                raise TimeoutError("the time limit was reached")
            kind, value = self._ours.recv()
        except TimeoutError:  # an OSError as well
            raise
        except (EOFError, OSError):
            self._process.join()
            raise Ended(ended_how(self._process.exitcode or 0)) from None
        if kind == "raised":
            raise value
        return value

    @property
    def closed(self) -> bool:
        """Whether it has been ended, as it is when a time limit is reached."""
        return bool(self._ours.closed)

    def close(self) -> None:
        """End the process; may be called again."""
        if self._ours.closed:
            return
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._ours.close()


def _serve(
    connection: Connection, make: Callable[[], Any], threads: int | None, device: torch.device
) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
    made: Any = None
    while True:
        try:
            name, args = connection.recv()
        except EOFError:
            return
        try:
            if made is None:
                enter(device)
                made = make()
            answer = ("returned", getattr(made, name)(*args))
        except (Exception, SystemExit) as error:  # the model's code, and the runtime's, may
            log.info("%s", name, exc_info=True)  # its traceback does not travel
            answer = ("raised", portable(error))
        connection.send(answer)
