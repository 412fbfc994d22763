"""A process of its own for stages, so that nothing they do can harm the job.

Where there is a fork server, a worker is forked from it with torch already imported, under a
guard: a second process that sleeps until the worker ends, tells its exit status and its exact peak
memory, and ends the worker should the job process go away. On Windows workers are spawned, and
elsewhere where a fork cannot use the device.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from modelbench.execution.protocol import PRELOAD, JobSpec, Ready, Task
from modelbench.results import Partial, Result
from modelbench.results.failures import Exit

if sys.platform == "win32":
    from modelbench.system.job_object import JobObject


ASK_NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"
"""Environment variable: torch asks whether there is a GPU without starting its driver, which would
be of no use any more in processes that are forked afterwards."""


START_S = 300.0
"""How long a worker may take to import torch and the model's code, on the slowest disk."""


GRACE_S = 0.5
"""How much later than the worker itself the job notices a time limit: the worker first writes
where it hangs into the log."""


class Died(Exception):  # noqa: N818  (what happened, not what is wrong here)
    """The worker ended without an answer."""

    def __init__(self, ended: Exit) -> None:
        super().__init__(ended)
        self.ended = ended


def start_server(targets: Iterable[str]) -> None:
    """Let the fork server begin to import torch and `targets`; returns at once."""
    if sys.platform != "win32":
        from multiprocessing import forkserver

        # Asked so that nothing is settled: the process may be a caller's own.
        method = multiprocessing.get_start_method(allow_none=True)
        if method is not None and method not in multiprocessing.get_all_start_methods():
            # joblib's processes have a start method that a fresh interpreter does not know.
            multiprocessing.set_start_method("forkserver", force=True)
        os.environ[PRELOAD] = ",".join(dict.fromkeys(targets))
        os.environ.setdefault(ASK_NVML, "1")
        multiprocessing.set_forkserver_preload(["modelbench.execution.preload"])
        forkserver.ensure_running()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Let a new process not run the caller's script again, which may lack a guard of `__main__`.

    What it prepares by is read from `sys.modules` while it is started.
    """
    own = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = own


class Worker:
    """One worker, seen from the job process, which blocks on it and never polls."""

    def __init__(self, spec: JobSpec) -> None:
        self.kept: Partial | None = None
        """What the present stage has found so far, where it has told."""
        self._connection, theirs = multiprocessing.Pipe()
        self._exits: Connection | None = None
        # Not daemons: a daemon may have no children, and a model's DataLoader wants some.
        if sys.platform == "win32":
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(target=_serve, args=(theirs, spec))
            with _without_main():
                self._process.start()
            # It ends with this process, and its own children end with it.
            self._job = JobObject()
            self._job.add(self._process.pid or 0)
        else:
            self._exits, guards = multiprocessing.Pipe()
            method: Any = multiprocessing.get_context("forkserver" if spec.forked else "spawn")
            self._process = method.Process(target=_guard, args=(theirs, spec, guards))
            with _without_main():
                self._process.start()
            guards.close()
        theirs.close()

    def ready(self) -> Ready:
        """Wait until the worker is ready; raises Died or TimeoutError."""
        ready: Ready = self._answer(START_S, lambda _: None)
        return ready

    def run(self, task: Task, timeout_s: float, say: Callable[[str], None]) -> Result:
        """Run one stage.

        Raises Died or TimeoutError, after which the worker is gone, but for what is `kept`.
        """
        self.kept = None
        with contextlib.suppress(BrokenPipeError):  # the answer below tells how it ended
            self._connection.send(task)
        result: Result = self._answer(timeout_s + GRACE_S, say)
        return result

    def kill(self) -> Exit:
        """End the worker, whatever it is doing, and wait until it is gone."""
        if self._exits is None:
            self._process.kill()
        elif not self._exits.closed:
            with contextlib.suppress(BrokenPipeError):
                self._exits.send("end")
        return self._ended()

    def _answer(self, timeout_s: float, say: Callable[[str], None]) -> Any:
        gone = self._process.sentinel if self._exits is None else self._exits
        deadline = time.monotonic() + timeout_s
        while True:
            ready = wait([self._connection, gone], max(0.0, deadline - time.monotonic()))
            if self._connection in ready:
                try:
                    message = self._connection.recv()
                except (EOFError, OSError):
                    raise Died(self._ended()) from None
                if isinstance(message, str):
                    say(message)
                elif isinstance(message, Partial):
                    self.kept = message
                else:
                    return message
            elif ready:
                raise Died(self._ended())
            else:
                self.kill()
                raise TimeoutError

    def _ended(self) -> Exit:
        """Wait for the end; return how it was."""
        ended = None
        if self._exits is not None and not self._exits.closed:
            with contextlib.suppress(EOFError, OSError):  # the guard itself was killed
                ended = self._exits.recv()
            self._exits.close()
        self._process.join()
        if sys.platform == "win32":
            self._job.end()  # with all the children that it left
        self._connection.close()
        return ended or Exit(self._process.exitcode or 0, None)


def _serve(connection: Connection, spec: JobSpec) -> None:
    from modelbench.execution.worker_main import serve

    serve(connection, spec)


if sys.platform != "win32":
    HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

    def _guard(connection: Connection, spec: JobSpec, exits: Connection) -> None:
        """Fork the worker, sleep until it ends or the job says so, tell how it ended."""
        # These reach the whole group; the job decides what becomes of the worker.
        for number in HANDLED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken)
        pid = os.fork()
        if pid == 0:
            _become_worker(connection, spec, exits)
        connection.close()
        ended, status, usage = 0, 0, None
        while not ended and exits not in wait([wake, exits]):  # told to end it, or the job is gone
            os.read(wake, 512)
            ended, status, usage = os.wait4(pid, os.WNOHANG)  # 0 where merely stopped or continued
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # with all the children that it left
        if usage is None or not ended:
            _, status, usage = os.wait4(pid, 0)
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
        with contextlib.suppress(OSError):
            exits.send(Exit(os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit))

    def _become_worker(connection: Connection, spec: JobSpec, exits: Connection) -> None:
        os.setsid()  # a group of its own, so that its children end with it
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, *HANDLED):
            signal.signal(number, signal.SIG_DFL)
        exits.close()
        status = 1
        try:
            _serve(connection, spec)
            status = 0
        except BaseException:
            logging.getLogger("modelbench.worker").exception("the worker failed")
        finally:
            os._exit(status)  # not past the guard's own frames
