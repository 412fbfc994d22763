"""Measuring in the caller's own process, where a module can be handed to no other."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn

from modelbench.config import schema
from modelbench.execution.protocol import SCRATCH
from modelbench.models.workload import Workload
from modelbench.results import Job, Result, Skip, Summary, document, failures, verdict
from modelbench.results.json_file import write_json
from modelbench.stages.stage import Context
from modelbench.system import accelerator

log = logging.getLogger(__name__)

READING = ("structure", "visualization", "benchmark", "dynamic")
"""Stages that leave the module as it is; the others would train or convert the caller's own."""

_current: list[nn.Module] = []


def module() -> nn.Module:
    """Return the module that is measured: a copy, where it can be copied."""
    found = _current[-1]
    try:
        return copy.deepcopy(found)
    except Exception:  # whatever objects raise that refuse
        return found


def run_here(job: Job, measured: nn.Module, note: str) -> dict[str, Any]:
    """Run the job's stages in this process; return the document, which is written as well."""
    device = accelerator.choose(job.config["device"]["name"])
    scratch = job.directory / SCRATCH
    context = Context(device, job.config.get("schemes", {}), job.directory, scratch, lambda _: None)
    results = []
    _current.append(measured)
    try:
        copied = module() is not measured
        with _as_it_was(measured):
            workload = Workload.of(job.config, job.axes, device)
            for name, settings in schema.stages(job.config).items():
                if copied or name in READING:
                    results.append(_stage(name, settings, workload, context))
                else:
                    why = "it would change the module, which cannot be copied"
                    results.append(Result(name, "skipped", 0.0, why))
    finally:
        _current.pop()
    results = [
        replace(r, details={**r.details, "notes": [note, *r.details.get("notes", [])]})
        for r in results
    ]
    found = document(replace(job, device=device.type), Summary(verdict(results), results))
    write_json(job.directory / "results.json", found)
    return found


def _stage(name: str, settings: Any, workload: Workload, context: Context) -> Result:
    start = perf_counter()
    context.scratch.mkdir(exist_ok=True)
    try:
        given = {**settings, "processes": 1} if "processes" in settings else settings
        stage = instantiate(given, _convert_="all", _recursive_=False)
        return Result.of(name, perf_counter() - start, stage(workload, context))
    except Skip as skip:
        return Result(name, "skipped", perf_counter() - start, str(skip))
    except (Exception, SystemExit) as error:  # the module's code may raise anything
        log.exception("stage %s failed", name)
        return Result(name, "failed", perf_counter() - start, failures.of_error(error, ""))


@contextmanager
def _as_it_was(measured: nn.Module) -> Iterator[None]:
    """Leave random numbers, threads, types and the module's mode as they were."""
    import random

    import numpy as np

    modes = {part: part.training for part in measured.modules()}
    python, numbers = random.getstate(), np.random.get_state()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        with torch.random.fork_rng(), nullcontext():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        for part, mode in modes.items():
            part.training = mode
