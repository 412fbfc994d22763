"""torch.compile, where there is a compiler for what it writes."""

from __future__ import annotations

from torch import nn


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
