"""Why a stage failed, in words that a person can act on."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelbench.results import Result
from modelbench.results.origin import of_types, root_cause
from modelbench.system import cgroup

GIB = 2**30
OUT_OF_MEMORY = ": most likely out of memory"
SERVER_MIB = 400
"""What the smallest model's process takes before it computes anything."""

NT = {
    0xC0000005: "access violation",
    0xC0000017: "not enough memory",
    0xC000001D: "illegal instruction",
    0xC00000FD: "stack overflow",
    0xC000012D: "the page file is too small",
    0xC0000135: "a DLL was not found",
    0xC000013A: "stopped by Ctrl-C",
    0xC0000374: "heap corruption",
    0xC0000409: "aborted by its C library",
}
"""What Windows' commonest statuses say (MS-ERREF 2.3.1)."""


@dataclass(frozen=True)
class Exit:
    """How a process ended: its status, negative for a signal, and the most memory it held."""

    code: int
    peak_bytes: int | None


def of_exit(ended: Exit, smaller: str) -> str:
    """Explain a worker that died without a result."""
    how = of_status(ended.code)
    if ended.code >= 0:
        return f"the worker process {how} before the stage had a result"
    advice = "model_test.log shows where it was"
    if OUT_OF_MEMORY in how:
        advice = f"try {smaller}" if smaller else ""
    peak = f"peak so far {ended.peak_bytes / GIB:.1f} GiB" if ended.peak_bytes else ""
    return "; ".join(filter(None, [how, peak, advice]))


def of_status(code: int) -> str:
    """Return how a process ended: `killed by signal 9 (SIGKILL): most likely out of memory`."""
    if code >= 0:
        name = f" (0x{code:08X}: {NT[code]})" if code in NT else ""
        return f"exited with status {code}{name}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    how = f"killed by signal {-code}{name}"
    return "; ".join([how + OUT_OF_MEMORY, *limited()]) if "SIGKILL" in name else how


def of_server(error: Exception) -> str:
    """Explain a fork server that is gone, which happens where torch alone is too large."""
    reason = f"the process that imports torch has died ({type(error).__name__}){OUT_OF_MEMORY}"
    need = f"torch and the model's code take {SERVER_MIB} MiB or more"
    return "; ".join([reason, *limited(), need])


def limited() -> list[str]:
    """Name the limit of memory, where there is one."""
    limit = cgroup.memory()
    return [] if limit is None else [f"the cgroup memory limit is {limit}"]


def in_time(result: Result, timeout_s: float) -> Result:
    """Let a result that came too late be a failed one; its figures stand."""
    if result.seconds <= timeout_s:
        return result
    late = f"took {result.seconds:.2g} s, longer than test.{result.stage}.timeout_s={timeout_s:g}"
    reason = f"{result.reason}; {late}" if result.status == "failed" else late
    return replace(result, status="failed", reason=reason)


def of_timeout(stage: str, timeout_s: float) -> str:
    """Explain a worker that was ended at its time limit."""
    return (
        f"timed out after {timeout_s:g} s; model_test.log shows where it was; "
        f"to give it longer, set test.{stage}.timeout_s"
    )


def of_error(error: BaseException, smaller: str) -> str:
    """Explain an exception; running out of memory names what was held and what to try."""
    import torch

    from modelbench.system.accelerator import of_driver

    error = root_cause(error)
    first_line = str(error).partition("\n")[0]
    if isinstance(error, torch.OutOfMemoryError):
        reason = _of_accelerator(first_line)
    elif (
        isinstance(error, MemoryError)
        or "can't allocate memory" in first_line
        or "backend out of memory" in first_line  # MPS
    ):
        reason = f"out of memory: {first_line or 'MemoryError'}"
    elif (driver := of_driver(str(error))) is not None:
        return f"{type(error).__name__}: {driver}"
    elif _lacks_graphviz(error):
        return (
            "Graphviz's dot, which the model's code calls, was not found on PATH; install "
            "Graphviz (graphviz.org/download) and make sure that dot is on PATH"
        )
    elif isinstance(error, SystemExit):
        return f"the model's code called sys.exit({error.code!r})"
    else:
        name = type(error).__name__
        return f"{name}: {first_line}{of_types(error)}" if first_line else name
    return f"{reason}; try {smaller}" if smaller else reason


def _of_accelerator(text: str) -> str:
    """Return how full the current device is, which ran out of memory."""
    import torch
    from torch import accelerator

    kind = accelerator.current_accelerator()
    if kind is None:
        return text
    device = torch.device(kind.type, accelerator.current_device_index())
    held, reserved = accelerator.memory_allocated(device), accelerator.memory_reserved(device)
    total = torch.get_device_module(device).mem_get_info(device)[1]
    return (
        f"{device} out of memory: {held / GIB:.1f} GiB allocated and {reserved / GIB:.1f} GiB "
        f"reserved of {total / GIB:.1f} GiB"
    )


def _lacks_graphviz(error: BaseException) -> bool:
    """Return whether a program of Graphviz was called, which is not a package of Python's."""
    if type(error).__name__ == "ExecutableNotFound":  # what the package graphviz raises
        return True
    return isinstance(error, FileNotFoundError) and error.filename == "dot"


def smaller(axes: Mapping[str, int], multiples: Mapping[str, int]) -> str:
    """Name smaller sizes to try: `batch_size=1 or image_size=128`."""
    tries = []
    for axis, size in axes.items():
        less = 1 if axis == "batch_size" else size // 2
        less -= less % multiples.get(axis, 1)
        if 0 < less < size:
            tries.append(f"{axis}={less}")
    return " or ".join(tries)
