"""A module that somebody has in hand, in a file from which each process makes its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.serialization import get_crc32_options, set_crc32_options

SCRIPT = ".ts"
"""Suffix of a scripted module's file."""


def save(module: nn.Module | Callable[..., Any], file: Path) -> Path:
    """Write a module, or what makes one; return the file. Raises whatever refuses to be pickled."""
    import cloudpickle

    if isinstance(module, torch.jit.ScriptModule):  # a copy by pickle has no parameters to train
        torch.jit.save(module, file.with_suffix(SCRIPT))
        return file.with_suffix(SCRIPT)
    checked = get_crc32_options()
    set_crc32_options(False)  # it is read back at once, and takes a third of the time
    try:
        torch.save(module, file, pickle_module=cloudpickle)
    finally:
        set_crc32_options(checked)
    return file


def load(file: str) -> Any:
    """Return the module of a file that `save` wrote, on the CPU.

    Such a file is code: only what this machine's own caller has just written is loaded.
    """
    if Path(file).suffix == SCRIPT:
        return torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
    found = _read(file)
    return found if isinstance(found, nn.Module) else found()


def loss(outputs: Any, batch: Any, file: str) -> Any:
    """Return the loss, by a function of such a file."""
    return _known(file)(outputs, batch)


def _read(file: str) -> Any:
    return torch.load(Path(file), map_location="cpu", weights_only=False)


_known = lru_cache(maxsize=1)(_read)
