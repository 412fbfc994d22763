"""The fingerprint of a run: machine, versions, code."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import modelbench
from modelbench.system import cgroup

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "transformers", "torchinfo", "numpy", "hydra-core", "mlflow")


def host() -> dict[str, Any]:
    """Describe what the job process can see; imports no torch."""
    return {
        "hostname": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "cpu_cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        "cpu_threads": psutil.cpu_count() or 1,
        "ram_gib": round(psutil.virtual_memory().total / 2**30, 1),
        **limits(),
        "modelbench": modelbench.__version__,
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        **git(),
    }


def limits() -> dict[str, Any]:
    """Return what the control group leaves of the machine, where it limits it."""
    memory, cores = cgroup.memory(), cgroup.cores()
    found: dict[str, Any] = {}
    if memory:
        found["memory_limit_gib"] = round(memory.limit / 2**30, 2)
    if cores:
        found["cpu_quota"] = cores
    return found


def accelerator(device: torch.device) -> dict[str, Any]:
    """Describe what only torch knows: its threads, and the GPU with its driver."""
    import torch

    from modelbench.system.accelerator import tf32

    found: dict[str, Any] = {
        "torch_threads": torch.get_num_threads(),
        "torch_interop_threads": torch.get_num_interop_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cpu":
        return found
    found["gpu"] = device_name(device)
    if device.type == "mps":
        memory = torch.mps.recommended_max_memory()
    else:
        properties = torch.get_device_module(device).get_device_properties(device)
        memory = properties.total_memory
    found["gpu_memory_gib"] = round(memory / 2**30, 1)
    if device.type == "xpu":
        found["driver"] = properties.driver_version
    if device.type == "cuda":
        found |= {
            "gpu_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "driver": _driver(),
            "gpu_compute_mode": _asked("compute_mode"),
            "tf32_matmul": tf32().matmul,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
        }
    return found


def device_name(device: torch.device) -> str:
    """Name the device as its maker does; a slice of a GPU (MIG) says so in its name."""
    import torch

    if device.type in {"cpu", "mps"}:
        return cpu_model()
    return str(torch.get_device_module(device).get_device_name(device))


def state(device: torch.device) -> dict[str, Any]:
    """Return the settings on which the time of a call depends."""
    import torch

    from modelbench.system.accelerator import tf32
    from modelbench.system.nvml import watched

    # Torch tells no getter for this: a number too small to be normal is set to zero, or not.
    small = torch.full((16,), 1e-30).mul(1e-10)
    found: dict[str, Any] = {
        "garbage_collection": "off while a call is timed",
        "torch_threads": torch.get_num_threads(),
        "torch_interop_threads": torch.get_num_interop_threads(),
        "denormals": "kept" if bool(small.any()) else "flushed to zero",
    }
    if device.type == "cuda":
        found |= {
            "tf32_matmul": tf32().matmul,
            "tf32_cudnn": tf32().cudnn,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "gpu_clocks": "watched" if watched() else "not watched: install torch-modelbench[nvml]",
        }
    return found


def cpu_model() -> str:
    """Name the processor as its maker does."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in {"model name", "Model"}:
                return value.strip()
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    if sys.platform == "win32":
        import winreg

        key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as found:
            return str(winreg.QueryValueEx(found, "ProcessorNameString")[0]).strip()
    return os.environ.get("PROCESSOR_IDENTIFIER") or platform.processor() or platform.machine()


def git() -> dict[str, Any]:
    """Return the commit of the current folder's repository and whether it has changes."""
    commit = _output("git", "rev-parse", "HEAD")
    if not commit:
        return {"git_commit": None, "git_dirty": None}
    # Files that git does not track are not asked for: our own outputs are among them.
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": None if changed is None else bool(changed)}


def _driver() -> str | None:
    return _asked("driver_version")


def _asked(what: str) -> str | None:
    """Ask nvidia-smi about the GPUs; they answer in one line each, and the first is given."""
    said = _output("nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader")
    return said.splitlines()[0] if said else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    """Return what a command prints, or None where it fails or is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
