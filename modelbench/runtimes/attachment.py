"""A runtime in the place of a model's own calls, whatever phase makes them."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import update_wrapper
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from modelbench.inputs.template import Template, signature
from modelbench.measurement.profiling.calls import Placed, put
from modelbench.runtimes.program import Program
from modelbench.runtimes.runtime import Built, Call, Runtime

log = logging.getLogger(__name__)

OWN = "modelbench-exported-"
Given = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Arguments of one call."""
Larger = Callable[[tuple[Any, ...]], list[Tensor] | None]
"""Returns inputs of another size for a call of that path and signature, if it can be made."""


@dataclass
class _Served:
    """One program of a module."""

    program: Program
    built: Built
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    """Of the inputs that it was made of."""
    refused: set[tuple[tuple[int, ...], ...]] = field(default_factory=set)
    """Sizes that it leaves open by its export, and failed at all the same."""

    def takes(self, tensors: Sequence[Tensor]) -> bool:
        """Return whether the sizes that it fixes are these."""
        return _shapes(tensors) not in self.refused and all(
            is_open or size == fixed
            for tensor, own, opens in zip(tensors, self.sizes, self.built.dynamic, strict=True)
            for size, fixed, is_open in zip(tensor.shape, own, opens, strict=True)
        )


class Attachment:
    """Runs the outermost modules that a phase calls in a runtime, each exported when it is met.

    So all phases work: those that call the model, a method of it, or parts of it one by one.
    """

    def __init__(
        self, model: nn.Module, runtime: Runtime, larger: Larger, folder: Path | None = None
    ) -> None:
        """Put it in the place of every module's forward; files go into `folder`, else away."""
        self.built: dict[str, list[Built]] = {}
        """By module, what was exported."""
        self.inputs: list[Tensor] | None = None
        """Of the program that the last call for `single` came to."""
        self.samples: dict[str, list[Sequence[Tensor]]] | None = None
        """By module, inputs to calibrate INT8 on; None where that is not asked for."""
        self._runtime, self._larger = runtime, larger
        self._folder = folder or own_folder()
        self._served: dict[tuple[Any, ...], list[_Served]] = {}
        self._within = False
        self._ran: list[tuple[_Served, Sequence[Tensor]]] | None = None
        self._functions: list[Placed] = [
            (module, self._running(path, module, module.forward))
            for path, module in model.named_modules()
            if not isinstance(module, torch.jit.ScriptModule)
        ]
        put(self._functions)

    @contextmanager
    def native(self) -> Iterator[None]:
        """Let the model compute by itself meanwhile; it can be copied."""
        around = put([(module, None) for module, _ in self._functions])
        try:
            yield
        finally:
            put(around)

    @property
    def seconds(self) -> tuple[float, float]:
        """What exporting and loading took so far."""
        builts = [built for each in self.built.values() for built in each]
        return sum(b.export_s for b in builts), sum(b.load_s for b in builts)

    def single(self, call: Callable[[], Any]) -> Call | None:
        """Return the program that a call comes to, inputs bound; None where it runs several."""
        self._ran = []
        rewind: Callable[[], None] = getattr(call, "rewind", lambda: None)
        rewind()
        try:
            with torch.inference_mode():
                call()
            ran = self._ran
        finally:
            self._ran = None
        self.inputs = list(ran[0][1]) if len(ran) == 1 else None
        if len(ran) != 1:
            return None
        served, tensors = ran[0]
        return served.built.engine.bind(tensors)

    def _running(
        self, path: str, module: nn.Module, forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            if self._within:
                return forward(*args, **kwargs)
            given = (args, kwargs)
            tensors = _top(given)
            if tensors is None:
                tensors = Template(given).tensors
            served = self._find(path, given, tensors)
            if served is None:
                served = self._serve(path, module, forward, given)
            try:
                found = served.built.engine.run(tensors)
            except Exception:  # an export may call open what it has fixed somewhere within
                if _shapes(tensors) == tuple(served.sizes):
                    raise
                log.info("%s fails at %s", path, _shapes(tensors), exc_info=True)
                served.refused.add(_shapes(tensors))
                served = self._serve(path, module, forward, given)
                found = served.built.engine.run(tensors)
            if self._ran is not None:
                self._ran.append((served, tensors))
            return served.program.outputs(found)

        return update_wrapper(run, forward)

    def _find(self, path: str, given: Given, tensors: Sequence[Tensor]) -> _Served | None:
        known = self._served.get((path, *signature(given, tensors)), ())
        return next((served for served in known if served.takes(tensors)), None)

    def _serve(
        self, path: str, module: nn.Module, forward: Callable[..., Any], given: Given
    ) -> _Served:
        """Export a call; raises ExportError, and whatever the runtime raises."""
        with self.alone():
            program = Program(module, forward, *normal(given))
            key = (path, *signature(given, program.inputs))
            examples = program.inputs
            # A further one is for sizes that the first has fixed.
            if self._runtime.dynamic and not self._served.get(key):
                examples = self._larger(key) or examples
            file = self._file(key, examples)
            samples = (self.samples or {}).get(path, ())
            fitting = [s for s in samples if len(s) == len(program.inputs)]
            if self.samples is not None and not fitting:
                fitting = [program.inputs]
            built = self._runtime.build(program, examples, file, fitting)
        served = _Served(program, built, list(_shapes(examples)))
        if not served.takes(program.inputs):
            with self.alone():
                file = self._file(key, program.inputs)
                built = self._runtime.build(program, program.inputs, file, fitting)
            served = _Served(program, built, list(_shapes(program.inputs)))
        start = perf_counter()
        try:
            built.engine.run(program.inputs)
        except Exception:  # an export may call open what it has fixed somewhere within
            if _shapes(program.inputs) == tuple(served.sizes):
                raise
            log.info("%s fails at %s", path, _shapes(program.inputs), exc_info=True)
            with self.alone():
                file = self._file(key, program.inputs)
                built = self._runtime.build(program, program.inputs, file, fitting)
            served = _Served(program, built, list(_shapes(program.inputs)))
            start = perf_counter()
            built.engine.run(program.inputs)
        built = served.built = replace(built, first_ms=(perf_counter() - start) * 1e3)
        self.built.setdefault(path, []).append(built)
        self._served.setdefault(key, []).append(served)
        return served

    def _file(self, key: tuple[Any, ...], examples: Sequence[Tensor]) -> Path:
        """Return the program's place: the same in each process of a job."""
        told = repr((key, list(_shapes(examples))))
        return self._folder / hashlib.sha256(told.encode()).hexdigest()[:16]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let modules compute by themselves, as exporters need them: not in inference mode."""
        before, self._within = self._within, True
        try:
            with torch.inference_mode(False), torch.no_grad():
                yield
        finally:
            self._within = before


def own_folder() -> Path:
    """Make a folder for this process alone; those of processes that are gone are taken away.

    A process that is killed, as subprocesses are, cannot do that itself.
    """
    place = Path(tempfile.gettempdir())
    for old in place.glob(f"{OWN}*"):
        number = old.name.removeprefix(OWN).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{OWN}{os.getpid()}-"))


def normal(given: Given) -> Given:
    """Return arguments whose tensors are none of inference mode's, which cannot be exported."""
    template = Template(given)
    filled: Given = template.fill([t.clone() if t.is_inference() else t for t in template.tensors])
    return filled


def _shapes(tensors: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors)


def _top(given: Given) -> list[Tensor] | None:
    """Return the tensors among the arguments where none is further within."""
    args, kwargs = given
    values = (*args, *kwargs.values())
    found = [value for value in values if isinstance(value, Tensor)]
    plain = all(
        isinstance(v, Tensor) or v is None or isinstance(v, bool | int | float | str)
        for v in values
    )
    return found if plain and len(set(map(id, found))) == len(found) else None
