"""torch.compile, where there is a compiler for what it writes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import nn

log = logging.getLogger(__name__)


def no_compiler(device: str = "cpu") -> str | None:
    """Say why torch.compile cannot work here, or give None."""
    if device == "cuda":
        from torch.utils._triton import has_triton

        return None if has_triton() else "Triton is not installed"
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        return "no C++ compiler was found; install g++, clang or Visual Studio's build tools"
    return None


def compile_in_place(model: nn.Module) -> None:
    """Let the model be compiled, with its weights as constants, when it is first called."""
    from torch._inductor import config

    config.freezing = True  # has an effect only if it is set before the first compilation
    model.compile()


def first_compiled(call: Callable[[], Any]) -> tuple[Any, float]:
    """Make the first compiled call; give its outcome and the seconds that it took.

    A process that was ended while it compiled leaves half a file in the compiler's cache, on which
    every later one fails: then it is compiled once more without that cache.
    """
    from torch._inductor.exc import InductorError
    from torch._inductor.utils import fresh_cache

    start = perf_counter()
    try:
        found = call()
    except InductorError:
        log.warning("compiling once more, with an empty cache", exc_info=True)
        torch._dynamo.reset()
        with fresh_cache():
            start = perf_counter()
            found = call()
    return found, perf_counter() - start
