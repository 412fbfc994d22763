"""One way to run a model, in a process of its own: what is asked of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modelbench.measurement.memory.meter import load_libraries
from modelbench.measurement.numerics.fidelity import Spread, fidelity
from modelbench.measurement.numerics.quality import Outcomes, drop, in_parts, outcomes
from modelbench.measurement.profiling.captured import capture, capture_all
from modelbench.measurement.timing.timing import no_collection, sampler
from modelbench.models.batches import unseen
from modelbench.runtimes.attachment import normal
from modelbench.runtimes.deploy import adapted, deploy, prepared, runtime_of
from modelbench.runtimes.outputs import Arrays, arrays, held_against
from modelbench.runtimes.program import Program
from modelbench.runtimes.runtime import size_of
from modelbench.runtimes.variant import Artifact, Ready, Variant

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

MIB = 2**20
MOST_LAYERS = 40
"""Layers that are exported one by one to find the first that is wrong."""


@dataclass
class Side:
    """A workload run in one way; made where it runs."""

    workload: Workload
    variant: Variant
    folder: Path | None = None
    _state: dict[str, Any] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was loaded."""
        return {**self.__dict__, "_state": {}}

    def prepare(self, phase: str) -> Ready:
        """Load the model, and export what the phase needs; raises Skip where that cannot be."""
        if self.variant.threads is not None:
            torch.set_num_threads(self.variant.threads)
        workload = self._workload()
        load_libraries(workload.device)
        start = perf_counter()
        if "converted" not in self._state:
            folder = self.folder or Path(tempfile.mkdtemp(prefix="modelbench-"))
            converted = deploy(workload, folder)
            self._state |= {"converted": converted, "batch": converted.batch(workload.batch())}
        converted = self._state["converted"]
        load_s = perf_counter() - start
        self._state["phase"] = phase
        call = workload.phase(phase, converted.model, self._state["batch"])
        attachment = converted.attachment
        before = attachment.seconds if attachment else (0.0, 0.0)
        spent = prepared(converted, call)
        bound = attachment.single(call) if attachment else None
        self._state["call"] = call if bound is None else bound
        sample = self._sample()
        with torch.inference_mode():
            first_ms = sample()[0]
        known = [b.first_ms for each in attachment.built.values() for b in each
                 if b.first_ms is not None] if attachment else []  # fmt: skip
        first_ms = sum(known) or first_ms
        exports = attachment.seconds if attachment else (spent, load_s)
        builts = [b for each in attachment.built.values() for b in each] if attachment else []
        covers = [b.engine.coverage for b in builts if b.engine.coverage is not None]
        return Ready(
            exports[0] - before[0], exports[1] - before[1] if attachment else load_s, first_ms,
            self._size() / MIB, min(covers) if covers else self._coverage(),
            tuple(dict.fromkeys(n for b in builts for n in b.engine.falls_back)), len(builts),
            tuple(converted.notes), tuple(str(b.file) for b in builts if b.file),
            bound is not None,
        )  # fmt: skip

    def sample(self, seconds: float, most: int = 10_000) -> list[float]:
        """Return milliseconds of calls in a row, after one that is none; one at least."""
        sample = self._sample()
        samples: list[float] = []
        with torch.inference_mode(), no_collection():
            sample()
            spent = 0.0
            while not samples or (spent < seconds * 1e3 and len(samples) < most):
                samples.append(sample()[0])
                spent += samples[-1]
        return samples

    def outputs(self, count: int, seed: int = 0, batch_size: int | None = None) -> list[Arrays]:
        """Return the phase's outputs on the workload's own input and on `count - 1` unseen ones.

        With another `seed` all of them are others; `batch_size` is None for the workload's own.
        """
        sizes = {} if batch_size is None else {"batch_size": batch_size}
        workload = replace(self._workload(), axes={**self.workload.axes, **sizes})
        other = replace(workload, seed=workload.seed + seed)
        return [self._output(batch) for batch in unseen(other, count)]

    def draw(self, folder: str) -> list[str]:
        """Write the pictures that the phase makes of its outputs, if any; return their names."""
        call = self._state["phase_call"]
        return list(call.save(Path(folder))) if hasattr(call, "save") else []

    def remember(self, count: int, seed: int, batch_size: int | None = None) -> None:
        """Keep the outputs, for others to be held against, unless they are there."""
        wanted = self._state.setdefault("wanted", {})
        if (seed, batch_size) not in wanted:
            wanted[seed, batch_size] = self.outputs(count, seed, batch_size)

    def against(self, found: list[Arrays], seed: int, batch_size: int | None = None) -> Spread:
        """Return the fidelity of others' outputs; raises what `held_against` does."""
        return held_against(self._state["wanted"][seed, batch_size], found)

    def judged(self) -> Outcomes:
        """Return what comes of the user's labelled data."""
        converted, workload = self._state["converted"], self._workload()
        tokens = getattr(workload.data, "argument", None)

        def call(batch: Any) -> Any:
            return converted.batch(batch).call(converted.model)

        each = call
        if converted.fixed_sizes or converted.compiles:
            each = partial(in_parts, call, workload.axes.get("batch_size", 1))
        return outcomes(each, workload.labelled(test=True), tokens)

    def judge(self) -> None:
        """Keep that, for others to be held against."""
        self._state["outcomes"] = self.judged()

    def drop_of(self, other: Outcomes) -> float:
        """Return what another way loses: of accuracy, or of perplexity relatively."""
        return drop(self._state["outcomes"], other).value

    def write(self, folder: str) -> Artifact:
        """Write the program, its input and its output."""
        place = Path(folder)
        converted = self._state["converted"]
        attachment = converted.attachment
        dtype = f"{converted.dtype}"
        if attachment is not None:
            builts = [b for each in attachment.built.values() for b in each]
            if len(builts) != 1 or attachment.inputs is None:
                raise ValueError("the phase consists of several programs; export one of its parts")
            (built,) = builts
            inputs = attachment.inputs
            outputs = built.engine.run(inputs)
            assert built.file is not None
            name = f"model{built.file.suffix}"
            for file in built.file.parent.glob(f"{built.file.name}*"):
                target = name if file == built.file else file.name
                shutil.copy(file, place / target)
        else:
            name = "model.pt2"
            inputs, outputs = self._export(place / name)
        _save(place / "input.npz", inputs)
        _save(place / "output.npz", outputs)
        quantized = attachment is None and converted.quantized
        device = self.workload.device.type
        return Artifact(name, torch.get_num_threads(), dtype, device, converted.compiles, quantized)

    def _export(self, file: Path) -> tuple[list[Any], list[Any]]:
        """Write what the phase runs, as PyTorch runs it; return its inputs and outputs."""
        calls = capture_all(self._state["converted"].model, self._state["call"])
        if len(calls) != 1:
            raise ValueError("the phase consists of several calls; export one of its parts")
        ((_, made),) = calls
        with torch.inference_mode(False), torch.no_grad(), torch.compiler.set_stance("force_eager"):
            given = normal((made.args, made.kwargs))
            program = Program(made.module, made.module.forward, *given)
            written = torch.export.export(program, tuple(program.inputs), strict=False)
            torch.export.save(written, file)
            return program.inputs, list(program(*program.inputs))

    def outputs_at(self, sizes: Mapping[str, int]) -> tuple[Arrays, int]:
        """Return the output at other sizes, and how many programs were exported for them."""
        attachment = self._state["converted"].attachment
        before = sum(map(len, attachment.built.values())) if attachment else 0
        found = self._output(self._workload().batch(**sizes))
        after = sum(map(len, attachment.built.values())) if attachment else 0
        return found, after - before

    def write_inputs(self, file: str) -> bool:
        """Write the program's inputs; return whether it is one program, and has some."""
        attachment = self._state["converted"].attachment
        found = attachment.inputs if attachment else None
        if found is None:
            return False
        torch.save([tensor.cpu() for tensor in found], file)
        return True

    def first_apart(self, least_db: float, seconds: float) -> str | None:
        """Name the first layer whose output the runtime gets wrong when it runs it alone."""
        converted, until = self._state["converted"], perf_counter() + seconds
        assert self.variant.engine is not None
        plain, device = runtime_of(self.variant.engine), self.workload.device
        runtime = adapted(plain, device, self.variant.scheme)
        with converted.native(), tempfile.TemporaryDirectory() as folder:
            model, batch = converted.model, self._state["batch"]
            leaves = [n for n, m in model.named_modules() if not any(True for _ in m.children())]
            call = self._workload().phase(self._state["phase"], model, batch)
            calls = capture(model, call, leaves[:MOST_LAYERS])
            for number, path in enumerate(leaves[:MOST_LAYERS]):
                if path not in calls or perf_counter() > until:
                    continue
                module, given = calls[path].module, (calls[path].args, calls[path].kwargs)
                try:
                    with torch.inference_mode(False), torch.no_grad():
                        program = Program(module, module.forward, *normal(given))
                        place = Path(folder) / f"{number}"
                        built = runtime.build(program, program.inputs, place)
                        found = program.outputs(built.engine.run(program.inputs))
                        ratio = fidelity(calls[path](), found).sqnr_db
                except Exception:  # one that cannot be exported alone tells nothing
                    continue
                if ratio is not None and ratio < least_db:
                    return f"{path} ({type(module).__name__}, {ratio:.0f} dB)"
        return None

    def _output(self, batch: Any) -> Arrays:
        converted = self._state["converted"]
        call = self._workload().phase(self._state["phase"], converted.model, converted.batch(batch))
        self._state["phase_call"] = call
        rewind: Callable[[], None] = getattr(call, "rewind", lambda: None)
        rewind()
        with torch.inference_mode():
            found = call()
        return arrays(found)

    def _workload(self) -> Workload:
        axes = dict(self.workload.axes)
        if self.variant.batch_size is not None:
            axes["batch_size"] = self.variant.batch_size
        return replace(
            self.workload, runtime=self.variant.engine, scheme=self.variant.scheme, axes=axes
        )

    def _sample(self) -> Callable[[], tuple[float, float | None]]:
        return sampler(self._state["call"], self.workload.device)

    def _coverage(self) -> float | None:
        converted = self._state["converted"]
        return None if converted.compiles else 1.0

    def _size(self) -> int:
        """Return the bytes of what would be deployed."""
        converted = self._state["converted"]
        attachment = converted.attachment
        if attachment is not None:
            files = {b.file for each in attachment.built.values() for b in each if b.file}
            return sum(size_of(file) for file in files)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"model{converted.suffix}"
            converted.save(converted.saved or converted.model, file)
            return size_of(file)


def _save(file: Path, tensors: Sequence[Any]) -> None:
    arrays = [t.detach().cpu() for t in tensors]
    plain = [t.float() if t.is_floating_point() else t for t in arrays]
    np.savez(file, **{f"{i:03}": t.numpy() for i, t in enumerate(plain)})
