"""Measuring in the caller's own process, where a module can be handed to no other."""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn
from torch.nn.parameter import is_lazy

from modelbench.config import schema
from modelbench.config.error import ConfigurationError
from modelbench.execution.protocol import SCRATCH
from modelbench.models.workload import Workload
from modelbench.precision.compiling import inductor_switches, restore_inductor
from modelbench.results import Job, Result, Skip, Summary, document, failures, verdict
from modelbench.results.json_file import write_json
from modelbench.stages.stage import Context
from modelbench.system import accelerator

log = logging.getLogger(__name__)

ALONE = ("dynamic", "memory", "runtimes", "recommend")
"""Stages that need processes of their own, which this one's threads survive no fork into."""
HELD = ("_parameters", "_buffers", "_modules")
"""What a module has in dictionaries of its own."""
READING = ("structure", "visualization", "benchmark", "profile")
"""Stages that leave the module as it is, in single precision and on its own device."""


@dataclass(frozen=True)
class _Current:
    """What is measured now."""

    module: nn.Module
    loss: Any


_current: list[_Current] = []


def module() -> nn.Module:
    """Return the module that is measured: a copy, where it can be copied."""
    found = _current[-1].module
    try:
        return copy.deepcopy(found)
    except Exception:  # whatever objects raise that refuse
        return found


def loss(outputs: Any, batch: Any) -> Any:
    """Return the loss that was handed over."""
    return _current[-1].loss(outputs, batch)


def run_here(job: Job, measured: nn.Module, loss: Any, note: str) -> dict[str, Any]:
    """Run the job's stages in this process; return the document, which is written as well.

    Raises ConfigurationError where the device cannot be used.
    """
    results = []
    _current.append(_Current(measured, loss))
    try:
        with _as_it_was(measured):
            try:
                device = accelerator.choose(job.config["device"]["name"])
            except accelerator.Unusable as why:
                raise ConfigurationError([f"device={job.config['device']['name']}: {why}"]) from why
            scratch = job.directory / SCRATCH
            schemes, runtimes = (job.config.get(name, {}) for name in ("schemes", "runtimes"))
            context = Context(
                device, schemes, job.directory, scratch, lambda _: None, runtimes=runtimes
            )
            workload = Workload.of(job.config, job.axes, device)
            refused = _refused(workload, measured)
            for name, settings in schema.stages(job.config).items():
                why_not = refused(name, settings)
                if why_not:
                    results.append(Result(name, "skipped", 0.0, why_not))
                else:
                    results.append(_stage(name, settings, workload, context))
            shutil.rmtree(scratch, ignore_errors=True)
    finally:
        _current.pop()
    results = [
        replace(r, details={**r.details, "notes": [note, *r.details.get("notes", [])]})
        for r in results
    ]
    found = document(replace(job, device=device.type), Summary(verdict(results), results))
    write_json(job.directory / "results.json", found)
    return found


def _refused(
    workload: Workload, measured: nn.Module
) -> Callable[[str, Mapping[str, Any]], str | None]:
    """Return what tells why a stage cannot run in this process."""
    copied = module() is not measured
    devices = {tensor.device.type for tensor in [*measured.parameters(), *measured.buffers()]}
    plain = workload.scheme is None and workload.runtime is None
    as_it_is = plain and devices <= {workload.device.type}

    def why(name: str, settings: Mapping[str, Any]) -> str | None:
        if name in ALONE:
            return "it needs a process of its own, and the module cannot be handed to one"
        reads = name in READING and not settings.get("training")
        if copied or (reads and as_it_is):
            return None
        return "it would change the module, which cannot be copied"

    return why


def _stage(name: str, settings: Any, workload: Workload, context: Context) -> Result:
    start = perf_counter()
    context.scratch.mkdir(exist_ok=True)
    try:
        given = {**settings, "processes": 1} if "processes" in settings else settings
        stage = instantiate(given, _convert_="all", _recursive_=False)
        report = stage(workload, context)
        return Result.of(name, perf_counter() - start, report)
    except Skip as skip:
        return Result(name, "skipped", perf_counter() - start, str(skip))
    except (Exception, SystemExit) as error:  # the module's code may raise anything
        log.exception("stage %s failed", name)
        return Result(name, "failed", perf_counter() - start, failures.of_error(error, ""))


def _plain(part: nn.Module) -> bool:
    """Return whether what a module holds can be put back: a lazy one becomes what it is."""
    tensors = [*part.parameters(recurse=False), *part.buffers(recurse=False)]
    return not isinstance(part, torch.jit.ScriptModule) and not any(map(is_lazy, tensors))


@contextmanager
def _as_it_was(measured: nn.Module) -> Iterator[None]:
    """Leave random numbers, threads, types and the module as they were.

    A module that cannot be copied runs itself: what it keeps, and what it writes into its buffers,
    is put back.
    """
    import random

    import numpy as np

    modes = {part: part.training for part in measured.modules()}
    own = [(part, dict(part.__dict__), [dict(part.__dict__[name]) for name in HELD])
           for part in measured.modules() if _plain(part)]  # fmt: skip
    buffers = [(buffer, buffer.clone()) for buffer in measured.buffers() if not is_lazy(buffer)]
    switches = accelerator.tf32()
    python, numbers = random.getstate(), np.random.get_state()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    compiling = dict(inductor_switches())
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        accelerator.allow_tf32(switches)
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        restore_inductor(compiling)
        for part, mode in modes.items():
            part.training = mode
        for part, attributes, held in own:
            part.__dict__.clear()
            part.__dict__.update(attributes)
            for name, entries in zip(HELD, held, strict=True):
                part.__dict__[name].clear()
                part.__dict__[name].update(entries)
        with torch.no_grad():
            for buffer, values in buffers:
                if not torch.equal(buffer, values):
                    with suppress(RuntimeError):  # one that lies on itself
                        buffer.copy_(values)
