"""How much memory a process or a device holds, and the most that it held: exact, never polled."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

import psutil
import torch
from torch import nn

from modelbench.system.accelerator import synchronize
from modelbench.system.cgroup import available_memory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, LARGE = -1, -3, 128 * 1024
"""Of mallopt(3), and their initial value: blocks from this size on are the system's own, and so
much that is free at the end of the heap goes back."""
WORD, IS_MMAPPED = ctypes.sizeof(ctypes.c_size_t), 2
"""glibc's word before a block has its size, and this flag where it is the system's own."""
CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


class Meter:
    """Bytes held beyond what was held when it was made.

    On Linux the kernel's own account of the peak is reset (proc_pid_clear_refs(5)); elsewhere the
    peak is that of the process's life, right as long as nothing before came near. On accelerators
    it is torch's allocator that tells; MPS, which counts no peak, tells what it took of the driver.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        reset_peak(device)
        self._base = held(device)

    def restart(self) -> None:
        """Forget the peak so far, where that can be done; what was held stays counted."""
        reset_peak(self._device)

    def held(self) -> int:
        """Return what is held now."""
        return held(self._device) - self._base

    def peak(self) -> int:
        """Return the most bytes that were held."""
        return max(0, most_held(self._device) - self._base)


def give_back() -> bool:
    """Let glibc give freed blocks back at once, as it does in a fresh process; tell if it will.

    By itself it keeps ever larger ones as it sees them freed, and holds up to a fifth more, which
    varies from run to run. For a process that is there to be measured.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    try:
        told = [library.mallopt(which, LARGE) for which in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)]
    except AttributeError:  # another C library, such as musl
        return False
    trim()
    _use_up(library)
    return all(told)


def _use_up(library: ctypes.CDLL) -> None:
    """Take the large blocks that the heap has free, for good, so that no other is put there.

    There they would stay when they are freed. None of them is written to, so they hold nothing.
    """
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    size = 2**30
    while size >= LARGE:
        block = library.malloc(size)
        if block is None or ctypes.c_size_t.from_address(block - WORD).value & IS_MMAPPED:
            library.free(block)  # of the heap there is none of this size
            size //= 2


def trim() -> None:
    """Give freed blocks back now, where glibc is the C library (malloc_trim(3)).

    What a process has kept of them serves what is allocated next, which would count as nothing.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far, where that can be done."""
    synchronize(device)
    if device.type == "mps":
        torch.mps.empty_cache()
    elif device.type != "cpu":
        torch.accelerator.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        trim()
        with contextlib.suppress(OSError):  # a container may forbid it
            CLEAR.write_text("5", encoding="ascii")


def held(device: torch.device) -> int:
    """Return how many bytes are held now."""
    synchronize(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    if device.type != "cpu":
        return torch.accelerator.memory_allocated(device)
    trim()
    resident: int = psutil.Process().memory_info().rss
    return resident


def most_held(device: torch.device) -> int:
    """Return the most bytes that were held since the last reset, or ever."""
    synchronize(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    if device.type != "cpu":
        return torch.accelerator.max_memory_allocated(device)
    if sys.platform == "linux":
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        most: int = psutil.Process().memory_info().peak_wset
        return most
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free(device: torch.device) -> int:
    """Return how many bytes could be had."""
    if device.type == "mps":  # shares the machine's memory
        left = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return min(left, available_memory())
    if device.type != "cpu":
        return int(torch.get_device_module(device).mem_get_info(device)[0])
    return available_memory()


def method(device: torch.device) -> str:
    """Return what a measured figure is of."""
    if device.type == "cpu":
        return "resident memory beyond torch itself, as the kernel reports it"
    if device.type == "mps":
        return "what MPS took from the driver, rounded up to its blocks; it tracks no exact peak"
    return "memory allocated by torch's allocator, without the driver's own"


def load_libraries(device: torch.device) -> None:
    """Let what computing loads, threads and libraries, be there before an account begins."""
    import torch._dynamo  # what torch.compiler.set_stance imports

    layer = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)).to(device)
    layer(torch.ones(1, 3, 8, 8, device=device)).sum().backward()
