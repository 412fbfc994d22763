"""The inside of a worker: prepare the workload, then run the stages that the job asks for."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TextIO

import torch
from hydra.utils import instantiate
from tqdm import tqdm

# Imported here, not where the stages need them, so that the fork server has them ready.
import modelbench.measurement.timing.statistics
import modelbench.measurement.timing.timing  # noqa: F401
from modelbench.config import schema
from modelbench.execution.alternatives import found_inputs, has_alternatives
from modelbench.execution.code_errors import code_errors, precision_errors
from modelbench.execution.protocol import SCRATCH, JobSpec, Ready, Task
from modelbench.models.workload import Workload
from modelbench.results import Partial, Report, Result, Skip, failures
from modelbench.stages.stage import Context, Stage
from modelbench.system import accelerator, environment

log = logging.getLogger("modelbench.worker")

Settings = Mapping[str, Any]


def serve(connection: Connection, spec: JobSpec) -> None:
    """Answer the job process until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the job's to handle
    file = _write_to_log(spec)
    # The progress bars of libraries take a semaphore of the system's, and leak it when they end.
    tqdm.set_lock(threading.RLock())
    try:
        found = code_errors(spec)
        device = _device(spec.config, found, forked=spec.forked)
        if not found:
            found = precision_errors(spec.config, device)
        if not found:
            found_out: Mapping[str, Any] = {}
            if has_alternatives(spec.config):
                found_out = found_inputs(spec.config, spec.axes, device)
            config = {**spec.config, "model": {**spec.config["model"], **found_out}}
            workload = Workload.of(config, spec.axes, device)
            ready = Ready(device.type, environment.accelerator(device), model=found_out)
    except accelerator.Poisoned as kind:
        connection.send(Ready(poisoned=str(kind)))
        return
    except (Exception, SystemExit) as error:  # the user's code runs here, and may raise anything
        log.exception("preparing")
        reason = failures.of_error(error, spec.smaller)
        found = [f"the worker could not start: {reason}; the traceback is in {file.name}"]
    if found:
        connection.send(Ready(errors=tuple(found)))
        return
    scratch = spec.directory / SCRATCH
    schemes, runtimes = (spec.config.get(name, {}) for name in ("schemes", "runtimes"))
    context = Context(
        device, schemes, spec.directory, scratch, connection.send, runtimes=runtimes,
        command=spec.command,
    )  # fmt: skip
    connection.send(ready)
    settings = schema.stages(spec.config)
    while True:
        try:
            task: Task = connection.recv()
            further = task.further and replace(
                task.further, earlier=pickle.loads(task.further.earlier)
            )
        except EOFError:
            return
        scratch.mkdir(exist_ok=True)
        name = task.stage
        faulthandler.dump_traceback_later(settings[name]["timeout_s"], file=file)
        keeping = replace(context, keep=partial(_keep, connection, name), further=further)
        result = _run(name, {**settings[name], **task.given}, workload, keeping, spec.smaller)
        faulthandler.cancel_dump_traceback_later()
        connection.send(result)


def _keep(connection: Connection, stage: str, report: Report, doing: str, rest: Settings) -> None:
    connection.send(Partial(Result.of(stage, 0.0, report), doing, rest))


def _run(
    name: str, settings: Mapping[str, Any], workload: Workload, context: Context, smaller: str
) -> Result:
    """Run one stage; whatever it raises becomes its result."""
    log.info("stage %s", name)
    start = time.perf_counter()
    try:
        # Not what stands within: an optimizer waits for its parameters.
        stage: Stage = instantiate(settings, _convert_="all", _recursive_=False)
        if workload.fake and stage.needs_values:
            raise Skip("model.weights=fake computes shapes only, and this stage needs values")
        with workload.computing():
            report = stage(workload, context)
        result = Result.of(name, time.perf_counter() - start, report)
        # A stage that gives what is no plain data fails here, and not in the job process.
        json.dumps(result.document(), allow_nan=False)
    except Skip as skip:
        return Result(name, "skipped", time.perf_counter() - start, str(skip))
    except (Exception, SystemExit) as error:
        log.exception("stage %s failed", name)
        reason = failures.of_error(error, smaller)
        return Result(name, "failed", time.perf_counter() - start, reason)
    return result


def _write_to_log(spec: JobSpec) -> TextIO:
    """Send logging, warnings, crashes and all that the model prints into the job's log."""
    file = (spec.directory / "model_test.log").open(
        "a", encoding="utf-8", errors="backslashreplace", buffering=1
    )
    logging.basicConfig(
        stream=file,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.captureWarnings(True)
    faulthandler.enable(file)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        os.dup2(file.fileno(), number)
    # What Python prints goes there by itself: on Windows its own streams do not survive the above.
    sys.stdout = sys.stderr = file
    return file


def _device(config: Mapping[str, Any], errors: list[str], *, forked: bool) -> torch.device:
    """Choose the device and the number of threads; adds why the device cannot be used."""
    name = config["device"]["name"]
    accelerator.use_threads(config["device"]["threads"])
    try:
        return accelerator.choose(name, forked=forked)
    except accelerator.Unusable as why:
        errors.append(f"device={name}: {why}")
        return torch.device("cpu")
