"""torch.compile, where there is a compiler for what it writes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import nn

log = logging.getLogger(__name__)

MOST = 5
"""Calls that may compile one after the other."""


def no_compiler(device: str = "cpu") -> str | None:
    """Say why torch.compile cannot work here, or give None."""
    if device == "mps":
        return "torch.compile's code for MPS is a prototype"
    if device != "cpu":
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


@torch.inference_mode()
def compiled(call: Callable[[], Any]) -> float:
    """Call until nothing is compiled any more; give the seconds of the calls that did.

    A later call compiles as well where sizes have changed, such as that of a cache.
    """
    seconds = 0.0
    for _ in range(MOST):
        before = _graphs()
        start = perf_counter()
        _robust(call)
        if _graphs() == before:
            break
        seconds += perf_counter() - start
    return seconds


def products_in_8_bits() -> int:
    """Count the convolutions and Linears that the compiler has made into ones of 8 bits so far."""
    from torch._dynamo.utils import counters

    found = counters["inductor"]
    return sum(int(found[f"{kind}_weight_prepack_matcher_count"]) for kind in ("qconv", "qlinear"))


def _graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def _robust(call: Callable[[], Any]) -> None:
    """Call; once more where the compiler's cache is broken.

    A process that was ended while it compiled leaves half a file there, on which every later one
    fails.
    """
    from torch._inductor.exc import InductorError
    from torch._inductor.utils import fresh_cache

    try:
        call()
    except InductorError:
        log.warning("compiling once more, with an empty cache", exc_info=True)
        torch._dynamo.reset()
        with fresh_cache():
            call()
