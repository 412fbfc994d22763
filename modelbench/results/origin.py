"""Where an exception came from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from hydra.errors import InstantiationException


def root_cause(error: BaseException) -> BaseException:
    """Return what went wrong behind Hydra's own message, which names the target alone."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def of_types(error: BaseException) -> str:
    """Name the layer in which floating types met that do not fit, and them; '' for other errors.

    The layer is read off the traceback, since hooks would cost time in every call.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError | TypeError | ValueError):
        return ""
    modules = [f for f in _frames(error) if isinstance(f.f_locals.get("self"), torch.nn.Module)]
    if not modules:
        return ""
    root, frame = modules[0].f_locals["self"], modules[-1]
    layer = frame.f_locals["self"]
    found = {name: value for name, value in frame.f_locals.items() if _floats(value)}
    found |= {name: p for name, p in layer.named_parameters(recurse=False) if _floats(p)}
    types = {name: str(value.dtype).removeprefix("torch.") for name, value in found.items()}
    if len(set(types.values())) < 2:
        return ""
    path = next((path for path, each in root.named_modules() if each is layer), "")
    named = ", ".join(f"{name} is {dtype}" for name, dtype in types.items())
    return f" (in {f'{type(layer).__name__} {path}'.strip()}: {named})"


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _floats(value: Any) -> bool:
    tensor = isinstance(value, sys.modules["torch"].Tensor)
    return tensor and bool(value.is_floating_point())
