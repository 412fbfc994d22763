"""What every runtime has in common: it exports a program to a file, and runs that."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from modelbench.results import Skip
from modelbench.results.json_file import write_json
from modelbench.runtimes.program import Program
from modelbench.system.cgroup import usable_cores

Call = Callable[[], object]
"""One inference with what is bound to it: nothing is copied in, and outputs stay where they are."""


class Engine(Protocol):
    """A loaded program."""

    @property
    def coverage(self) -> float | None:
        """The share of the program's operators that the runtime runs itself; None if not known."""

    @property
    def falls_back(self) -> Sequence[str]:
        """Operators that something else runs."""

    def bind(self, tensors: Sequence[Tensor]) -> Call:
        """Return one inference of these inputs, to be called again and again."""

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs."""


@dataclass(frozen=True)
class Built:
    """A program that can be run."""

    engine: Engine
    dynamic: list[list[bool]]
    """Of each dimension of each input, whether it may vary."""
    export_s: float
    load_s: float
    file: Path | None
    """None where there is none."""
    first_ms: float | None = None
    """Of the first run, where that was noted; some compile then."""


@dataclass(frozen=True)
class Runtime:
    """A way to run a model; its fields are the keys below `engine` of its YAML."""

    packages: ClassVar[tuple[str, ...]] = ()
    """What it needs to be installed, from the extra `runtimes`."""
    ending: ClassVar[str] = ""
    """Of its file."""
    quantizes: ClassVar[bool] = False
    """Whether it brings a program into INT8 itself; else it takes the model as converted."""
    dynamic: bool = True
    """Whether dimensions are left open where the model leaves them open."""

    def unavailable(self, device: torch.device) -> str | None:
        """Return why it cannot be used here."""
        missing = [name for name in self.packages if find_spec(name) is None]
        if missing:
            return (
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; "
                'pip install -e ".[runtimes]"'
            )
        return self.refuses(device)

    def refuses(self, device: torch.device) -> str | None:
        """Return why it cannot run on this device."""
        return None if device.type == "cpu" else f"runs on the CPU only, but this is {device}"

    def on(self, device: torch.device) -> Runtime:  # noqa: ARG002
        """Return the runtime as it is to run on a device."""
        return self

    def at(self, dtype: torch.dtype) -> Runtime:
        """Return the runtime computing in half precision a model that it is given in single.

        Raises Skip where it has no way of its own.
        """
        raise Skip(
            f"{type(self).__name__} has no {str(dtype).removeprefix('torch.')} of its own on the "
            "CPU; use eager, compile or openvino"
        )

    def build(
        self,
        program: Program,
        examples: Sequence[Tensor],
        file: Path,
        samples: Sequence[Sequence[Tensor]] = (),
    ) -> Built:
        """Export a program to a file and load that; what is there already is only loaded.

        It is in INT8 where there are `samples` to calibrate on.

        `examples` are inputs of other sizes than those that shall stay fixed. Raises ExportError,
        and whatever the runtime raises when it loads.
        """
        file, sizes = file.with_suffix(self.ending), file.with_suffix(".json")
        start = perf_counter()
        if sizes.is_file():  # another process of the job has exported it
            known = json.loads(sizes.read_text(encoding="utf-8"))
            dynamic, file = known["dynamic"], file.with_name(known["file"])
        else:
            dynamic = self.export(program, examples, file)
            if samples:
                file = self.quantize(file, samples)
            write_json(sizes, {"dynamic": dynamic, "file": file.name})
        exported = perf_counter()
        engine = self.load(file)
        return Built(engine, dynamic, exported - start, perf_counter() - exported, file)

    def export(self, program: Program, examples: Sequence[Tensor], file: Path) -> list[list[bool]]:
        """Write the program; return which dimension of which input stays open.

        Raises ExportError.
        """
        raise NotImplementedError

    def load(self, file: Path) -> Engine:
        """Load what was written; raises whatever the runtime raises."""
        raise NotImplementedError

    def quantize(self, file: Path, samples: Sequence[Sequence[Tensor]]) -> Path:
        """Bring a written program into INT8, calibrated on inputs; return the new file."""
        raise NotImplementedError


def threads() -> int:
    """Return how many threads a runtime may use: as many as torch does."""
    return max(1, min(torch.get_num_threads(), int(usable_cores())))


def size_of(file: Path) -> int:
    """Return the bytes of a program's files: a large one has its weights beside it."""
    if file.is_dir():
        return sum(each.stat().st_size for each in file.rglob("*") if each.is_file())
    beside = [each for each in file.parent.glob(f"{file.name}*") if each.is_file()]
    return sum(each.stat().st_size for each in beside)
