"""A function in a process of its own: what it holds, and how it ends, concerns nobody else.

Forked where the stage's worker has computed nothing yet; spawned on Windows and where an
accelerator, whose driver does not survive a fork, is in use.
"""

from __future__ import annotations

import multiprocessing
import pickle
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from modelbench.results.failures import of_status
from modelbench.system.accelerator import enter
from modelbench.system.forking import FORKS

Send = Callable[[Any], None]


class Ended(Exception):  # noqa: N818  (what happened, not what is wrong here)
    """The process ended without an answer; the message says how."""


def isolated(
    act: Callable[[Send], None], device: torch.device, timeout_s: float | None = None
) -> Iterator[Any]:
    """Run `act(send)` in a process of its own and give what it sends, one by one.

    Raises what `act` raises, Ended where its process dies, and TimeoutError where it takes longer.
    Under spawn `act` has to pickle.
    """
    method = "fork" if FORKS and device.type == "cpu" else "spawn"
    context: Any = multiprocessing.get_context(method)
    ours, theirs = context.Pipe(duplex=False)
    # A fork has its threads' number; to set it there would start them.
    threads = torch.get_num_threads() if method == "spawn" else None
    process = context.Process(target=_serve, args=(theirs, act, threads, device))
    process.start()
    theirs.close()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait([ours], left):
                raise TimeoutError(f"timed out after {timeout_s:g} s")
            try:
                kind, value = ours.recv()
            except (EOFError, OSError):  # it may have died while it wrote
                process.join()
                raise Ended(ended_how(process.exitcode or 0)) from None
            if kind == "raised":
                raise value
            if kind == "done":
                return
            yield value
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()


def _serve(
    connection: Connection, act: Callable[[Send], None], threads: int | None, device: torch.device
) -> None:
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        enter(device)
        act(lambda value: connection.send(("sent", value)))
        connection.send(("done", None))
    except (Exception, SystemExit) as error:  # the model's code may raise anything
        connection.send(("raised", portable(error)))


def portable(error: BaseException) -> BaseException:
    """Return the exception, or its text where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the exception's own class does while it is made again
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def ended_how(code: int) -> str:
    """Return how a process ended, by its exit status."""
    return f"the process {'was ' if code < 0 else ''}{of_status(code)}"
