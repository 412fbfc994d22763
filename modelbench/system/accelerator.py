"""CUDA, MPS and XPU asked one way, through torch's own interface; what a kind lacks is said here.

The CPU is a device like others: it does at once what it is given, and the kernel tells its memory.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

import torch

from modelbench.system import cgroup

KINDS = ("cuda", "mps", "xpu")
DRIVER = {
    "driver on your system is too old": (
        "the NVIDIA driver is older than this build of torch needs; update the driver, or install "
        "a build of torch for an older CUDA"
    ),
    "Found no NVIDIA driver": "there is no NVIDIA driver on this machine; install one",
    "busy or unavailable": (
        "another process holds the GPU, which is in exclusive-process mode (nvidia-smi "
        "--query-gpu=compute_mode); a stage needs two processes there: nvidia-smi -c DEFAULT"
    ),
    "no kernel image is available": (
        "this build of torch has no kernels for that GPU's compute capability; install another "
        "build"
    ),
    "No CUDA GPUs are available": (
        "the driver shows no GPU to this process; check nvidia-smi, CUDA_VISIBLE_DEVICES and "
        "the container's --gpus"
    ),
    "unknown error": "the driver does not respond; check nvidia-smi, or restart the machine",
}
"""Words of a driver's error, and what they come to."""


class Unusable(Exception):  # noqa: N818  (what was found, not what is wrong here)
    """The device cannot be used; the message says why and what to do."""


class Poisoned(Exception):  # noqa: N818  (the same)
    """The process was forked from one that had started the device's driver: it needs a new one."""


def use_threads(threads: int | None) -> None:
    """Let torch use so many on the CPU; None is as many as this process has cores."""
    cores = cgroup.usable_cores()
    if threads is not None or torch.get_num_threads() > cores:  # torch does not know of quotas
        torch.set_num_threads(threads or max(1, int(cores)))


def choose(name: str, *, forked: bool = False) -> torch.device:
    """Return the device of that name, `auto` for the accelerator that is there, else the CPU.

    From now on it is this process's current one. Raises Unusable, and Poisoned in a fork that
    cannot use it.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator()
        if found is None or found.type not in KINDS:
            return torch.device("cpu")
        name = found.type
        if (_poisoned(name) and not _seen(name)) or not (_poisoned(name) or _available(name)):
            return torch.device("cpu")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    device = torch.device(device.type, device.index or 0)
    metal = device.type == "mps" and _available("mps")  # Apple's frameworks survive no fork
    if _poisoned(device.type) or (forked and metal):
        raise Poisoned(device.type)
    if device.type == "mps" and sys.platform != "darwin":
        raise Unusable("available on macOS only; use device=auto or device=cpu")
    if not _built(device.type):
        raise Unusable(
            f"this is torch {torch.__version__}, built without {device.type.upper()}; install a "
            "build that has it (pytorch.org/get-started)"
        )
    if not _available(device.type):
        raise Unusable(_why_not(device))
    count = torch.accelerator.device_count()
    if (device.index or 0) >= count:
        last = f"{device.type}:{count - 1}"
        raise Unusable(
            f"there {'is one device' if count == 1 else f'are {count} devices'}, "
            + (f"{device.type}:0" if count == 1 else f"{device.type}:0 to {last}")
        )
    enter(device)
    return device


def enter(device: torch.device) -> None:
    """Make a device the process's current one, single precision being what it says (no TF32)."""
    if device.type == "cpu":
        return
    try:
        torch.accelerator.set_device_index(device)
        torch.ones(1, device=device)  # only this tells whether the driver really works
    except (RuntimeError, AssertionError) as error:
        raise Unusable(of_driver(str(error)) or str(error).partition("\n")[0]) from error
    if device.type == "cuda":
        allow_tf32(Switches(matmul=False, cudnn=False))


@contextmanager
def left_alone() -> Iterator[None]:
    """Let nothing start a driver meanwhile, of no use any more in what is forked afterwards.

    Importing torchao asks for the GPU's compute capability, which NVML tells without the driver.
    What is imported and asks for more fails here, and is imported again in each fork.
    """
    capability = _capability()

    def refuse(*_: Any) -> NoReturn:
        raise RuntimeError("no driver may be initialised in the fork server")

    def known(*_: Any) -> tuple[int, int]:
        return refuse() if capability is None else capability

    def properties(*_: Any) -> SimpleNamespace:
        major, minor = known()
        return SimpleNamespace(major=major, minor=minor)  # more is not known, and fails

    with (
        patch.object(torch.cuda, "_lazy_init", refuse),
        patch.object(torch.xpu, "_lazy_init", refuse),
        patch.object(torch.cuda, "current_device", lambda: 0 if capability else refuse()),
        patch.object(torch.cuda, "get_device_capability", known),
        patch.object(torch.cuda, "get_device_properties", properties),
    ):
        yield


def _capability() -> tuple[int, int] | None:
    """Ask NVML for the GPUs' compute capability; None without one, or where they differ."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    count, found = ctypes.c_uint(), set()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return None
    for index in range(count.value):
        handle, major, minor = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
        if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            return None
        pair = ctypes.byref(major), ctypes.byref(minor)
        if nvml.nvmlDeviceGetCudaComputeCapability(handle, *pair):
            return None
        found.add((major.value, minor.value))
    return found.pop() if len(found) == 1 else None


def of_driver(text: str) -> str | None:
    """Return what a driver's error comes to; None for other errors."""
    return next((said for words, said in DRIVER.items() if words in text), None)


def synchronize(device: torch.device) -> None:
    """Return when the device has done all that it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def event(device: torch.device) -> Any:
    """Return a mark in the device's stream that knows when it was passed."""
    if device.type == "mps":
        return torch.mps.Event(enable_timing=True)
    return torch.Event(device, enable_timing=True)


def cache_bytes(device: torch.device) -> int | None:
    """Return the bytes of a GPU's last-level cache; None where its kind does not report it."""
    if device.type not in {"cuda", "xpu"}:
        return None
    size = getattr(
        torch.get_device_module(device).get_device_properties(device), "L2_cache_size", 0
    )
    return int(size) or None


@dataclass(frozen=True)
class Switches:
    """Where CUDA may round the factors of single precision to 10 bits (TF32)."""

    matmul: bool
    cudnn: bool


def tf32() -> Switches:
    """Return where TF32 is allowed now."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    try:
        return Switches(matmul.allow_tf32, cudnn.allow_tf32)
    except RuntimeError:  # the model's code has used torch's newer switches, and only these tell
        convolution: Any = cudnn.conv  # type: ignore[attr-defined]
        return Switches(matmul.fp32_precision == "tf32", convolution.fp32_precision == "tf32")


def allow_tf32(switches: Switches) -> None:
    """Set it, by the switches that torch.compile can read as well (pytorch#166387)."""
    torch.backends.cuda.matmul.allow_tf32 = switches.matmul
    torch.backends.cudnn.allow_tf32 = switches.cudnn


def _poisoned(kind: str) -> bool:
    in_bad_fork = getattr(torch.get_device_module(kind), "_is_in_bad_fork", None)
    return in_bad_fork is not None and bool(in_bad_fork())


def _seen(kind: str) -> bool:
    """Return whether a process that cannot use the driver has a reason to look for a device."""
    count: Any = getattr(torch.get_device_module(kind), "_device_count_nvml", lambda: 1)
    return bool(count() > 0)  # -1 where there is no driver at all


def _built(kind: str) -> bool:
    if kind == "mps":
        return torch.backends.mps.is_built()
    compiled = getattr(torch.get_device_module(kind), "_is_compiled", None)
    return bool(compiled()) if compiled else bool(torch.get_device_module(kind).is_available())


def _available(kind: str) -> bool:
    return bool(torch.get_device_module(kind).is_available())


def _why_not(device: torch.device) -> str:
    """Return why a device that torch was built for is not there."""
    if device.type == "mps":
        return "needs macOS 14 and an Apple GPU"
    try:
        torch.ones(1, device=device)
    except (RuntimeError, AssertionError) as error:
        found = of_driver(str(error)) or str(error).partition("\n")[0]
        return f"{found}; or use device=cpu"
    return "torch finds no device; check the driver, or use device=cpu"
