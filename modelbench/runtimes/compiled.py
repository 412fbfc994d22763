"""torch.compile, in the process that runs the model, and ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from modelbench.precision.compiling import no_compiler, prepare
from modelbench.results.attempts import in_one_line
from modelbench.runtimes.program import ExportError, Program, exported
from modelbench.runtimes.runtime import Built, Call, Runtime

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


@dataclass(frozen=True)
class Compile(Runtime):
    """Compiles where the model runs; there is no file."""

    mode: str = "default"
    """Of torch.compile."""
    freezing: bool = True
    """Whether weights become constants of the code."""

    def __post_init__(self) -> None:
        """Refuse unknown modes."""
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode}: expected {', '.join(MODES)}")

    def refuses(self, device: torch.device) -> str | None:
        """Look for a compiler."""
        return no_compiler(device.type)

    def build(
        self,
        program: Program,
        examples: Sequence[Tensor],
        file: Path,  # noqa: ARG002
        samples: Sequence[Sequence[Tensor]] = (),  # noqa: ARG002
    ) -> Built:
        """Compile the program, which really happens when it first runs, anew for other sizes."""
        prepare(freezing=self.freezing)
        open_sizes = [[True] * tensor.dim() for tensor in examples]
        engine = Compiled(torch.compile(program, mode=self._mode))
        return Built(engine, open_sizes, 0.0, 0.0, None)

    def in_place(self, model: nn.Module) -> None:
        """Let the model itself be compiled when it is first called."""
        prepare(freezing=self.freezing)
        model.compile(mode=self._mode)

    @property
    def _mode(self) -> str | None:
        return None if self.mode == "default" else self.mode


@dataclass(frozen=True)
class Aoti(Runtime):
    """Compiles ahead of time, into a package that needs torch, and no Python of the model."""

    ending: ClassVar[str] = ".pt2"

    def refuses(self, device: torch.device) -> str | None:
        """Look for a compiler."""
        return no_compiler(device.type)

    def export(self, program: Program, examples: Sequence[Tensor], file: Path) -> list[list[bool]]:
        """Export and compile."""
        found = exported(program, examples)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch._inductor.aoti_compile_and_package(
                found.program, package_path=str(file),
                inductor_configs={"freezing": True} if self._freezes(program) else {},
            )  # fmt: skip
        except Exception as error:  # compilers raise all kinds
            raise ExportError(f"AOTInductor: {in_one_line(error)}") from error
        return found.dynamic

    def load(self, file: Path) -> Compiled:
        """Load the package."""
        return Compiled(torch._inductor.aoti_load_package(str(file)))

    def _freezes(self, program: Program) -> bool:
        return all(not p.is_cuda for p in program.parameters())


class Compiled:
    """A compiled program."""

    coverage: float | None = None
    falls_back: Sequence[str] = ()

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def bind(self, tensors: Sequence[Tensor]) -> Call:
        """Bind the inputs."""
        function = self._function
        return lambda: function(*tensors)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs."""
        return list(self._function(*tensors))
