"""Ctrl-C and its kin: turned into exceptions, and held back where they would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# The terminal was closed: SIGHUP, on Windows SIGBREAK, which is Ctrl-Break as well.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
ENDING = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class Terminated(SystemExit):
    """The process was told to end by a signal; its exit status is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def install() -> None:
    """From now on raise Terminated, so that everything is closed; has effect in the main thread."""
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            signal.signal(number, _raise)


@contextmanager
def held_back() -> Iterator[None]:
    """Let nothing interrupt the block; what came meanwhile has its effect at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: not set from Python
    if came:
        signal.raise_signal(came[0])


def ignore() -> None:
    """From now on take no notice: the end has begun, and a tired person presses Ctrl-C twice."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _raise(number: int, _: FrameType | None) -> NoReturn:
    ignore()
    raise Terminated(number)
