"""Programs as ONNX files, which several runtimes read."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modelbench.results.attempts import in_one_line
from modelbench.runtimes.program import ExportError, Program, exported

log = logging.getLogger(__name__)

LARGE = 1_500_000_000
"""Bytes of weights from which on they go into a file of their own: protobuf ends at 2 GiB."""


def write(
    program: Program, examples: Sequence[Tensor], file: Path, *, dynamic: bool
) -> list[list[bool]]:
    """Write the program as ONNX; return which dimension of which input stays open.

    Raises ExportError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if dynamic:
        found = exported(program, examples)
        source: Any = found.program
        given: Any = ()
        openness = found.dynamic
    else:
        source, given = program, tuple(tensor.detach().clone() for tensor in examples)
        openness = [[False] * tensor.dim() for tensor in examples]
    held = sum(t.nbytes for t in [*program.parameters(), *program.buffers()])
    try:
        with _quiet(), torch.no_grad():
            made: Any = torch.onnx.export(source, given, dynamo=True, verbose=False)
            made.save(str(file), external_data=held >= LARGE)
    except Exception as error:  # exporters raise all kinds
        raise ExportError(f"torch.onnx.export: {_reason(error)}") from error
    return openness


def _reason(error: BaseException) -> str:
    """Return the innermost reason: the exporter wraps it in advice to report an issue."""
    while error.__cause__ is not None:
        error = error.__cause__
    return in_one_line(error)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from writing on the terminal, and from asking for torchvision."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
