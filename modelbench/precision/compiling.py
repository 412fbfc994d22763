"""torch.compile, where there is a compiler for what it writes."""

from __future__ import annotations

import logging
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from time import perf_counter
from typing import Any

import torch
from torch import nn

log = logging.getLogger(__name__)

MOST = 5
"""Calls that may compile one after the other."""


def no_compiler(device: str = "cpu") -> str | None:
    """Return why torch.compile cannot work here, or give None."""
    if device == "mps":
        return "torch.compile for MPS is a prototype"
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
    prepare(freezing=True)
    model.compile()


def prepare(*, freezing: bool) -> None:
    """Set what compiling goes by, in this process, before the first compilation."""
    from torch._inductor import config

    config.freezing = freezing  # has an effect only if it is set before the first compilation
    # A third of the first compilation goes into headers that make no later one quicker.
    config.cpp_cache_precompile_headers = False
    if config.cpp.vec_isa_ok is None and _vectors_are_known():
        config.cpp.vec_isa_ok = True


def name_kernels() -> None:
    """Let what is compiled from now on name its kernels to a profiler, after what they fuse."""
    from torch._inductor import config

    config.cpp.enable_kernel_profile = True


def inductor_switches() -> dict[str, bool]:
    """Return what `prepare` and `name_kernels` change; nothing without a compiler loaded."""
    config = sys.modules.get("torch._inductor.config")
    if config is None:
        return {}
    return {"freezing": config.freezing, "enable_kernel_profile": config.cpp.enable_kernel_profile}


def restore_inductor(switches: Mapping[str, bool]) -> None:
    """Set them back, or to what they are at first."""
    config: Any = sys.modules.get("torch._inductor.config")
    if config is not None:
        config.freezing = switches.get("freezing", False)
        config.cpp.enable_kernel_profile = switches.get("enable_kernel_profile", False)


@cache
def _vectors_are_known() -> bool:
    """Return whether the compiler takes the flags of all vectors that this CPU has.

    Torch finds that out by importing itself in a process for each kind, 7 s in all.
    """
    try:
        from torch._inductor.cpu_vec_isa import supported_vec_isa_list, x86_isa_checker
    except ImportError:  # torch's own business, which may move
        return False
    if sys.platform != "linux" or platform.machine() != "x86_64" or no_compiler():
        return False
    from torch._inductor.cpp_builder import get_cpp_compiler

    here = set(x86_isa_checker())
    kinds = [kind for kind in supported_vec_isa_list if set(str(kind).split()) <= here]
    flags = {flag for kind in kinds for flag in kind.build_arch_flags().split()}
    done = subprocess.run(
        [get_cpp_compiler(), *flags, "-fsyntax-only", "-x", "c++", "-"],
        input=b"#include <immintrin.h>\n", capture_output=True, check=False,
    )  # fmt: skip
    return bool(kinds) and done.returncode == 0


@torch.inference_mode()
def compiled(call: Callable[[], Any]) -> float:
    """Call until nothing is compiled any more; return the seconds of the calls that did.

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
