"""A workload in its precision and its runtime, as its configuration asks for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from modelbench.inputs.template import signature
from modelbench.measurement.profiling.captured import capture_all
from modelbench.precision.compiling import compiled
from modelbench.precision.convert import convert, scheme_of
from modelbench.results import Skip
from modelbench.runtimes.attachment import Attachment, Larger
from modelbench.runtimes.compiled import Compile
from modelbench.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from modelbench.inputs.batch import Batch
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel

log = logging.getLogger(__name__)

CALIBRATION = 8
"""Batches that INT8 is calibrated on."""
STATIC = (".Best", ".Static")
"""Schemes that static INT8 may stand for."""
CASTS = "modelbench.precision.cast.Cast"


def runtime_of(node: Mapping[str, Any]) -> Runtime:
    """Return the runtime that a YAML's `engine` describes."""
    runtime: Runtime = instantiate(node, _convert_="all")
    return runtime


def deploy(workload: Workload, folder: Path | None = None) -> ConvertedModel:
    """Build the model, bring it into its precision, and let its runtime run it.

    What is exported stays in `folder`, where there is one, for other processes of the job. Raises
    Skip where precision or runtime cannot do that here.
    """
    if workload.runtime is None:
        return convert(workload)
    runtime = runtime_of(workload.runtime)
    if why := runtime.unavailable(workload.device):
        raise Skip(f"runtime: {why}")
    quantizes = runtime.quantizes and _in_8_bits(workload.scheme)
    if quantizes and not str((workload.scheme or {}).get("_target_")).endswith(STATIC):
        raise Skip("runtime: its own INT8 is static; use precision=int8, fp32 or a half precision")
    runtime = adapted(runtime, workload.device, workload.scheme)
    if runtime.quantizes and not quantizes and workload.device.type == "cpu":
        workload = replace(workload, scheme=None)
    converted = convert(replace(workload, scheme=None) if quantizes else workload)
    if isinstance(runtime, Compile):
        if not converted.compiles:
            runtime.in_place(converted.model)
        converted.compiles, converted.runtime = True, "compile"
        return converted
    if converted.compiles:
        raise Skip(
            "runtime: it takes models as PyTorch runs them, and this precision is compiled; use "
            "runtime=eager or runtime=compile"
        )
    name = type(runtime).__name__
    _choose_exportable(converted.model)
    attachment = Attachment(converted.model, runtime, _larger(workload, converted), folder)
    if quantizes:
        attachment.samples = _samples(workload, converted.model, attachment)
        converted.quantized = True
    converted.native, converted.runtime = attachment.native, name
    converted.attachment = attachment
    return converted


def adapted(runtime: Runtime, device: torch.device, scheme: Mapping[str, Any] | None) -> Runtime:
    """Return the runtime as it is to run on a device, in half precision where that is asked for.

    Raises Skip where it has none of its own.
    """
    runtime = runtime.on(device)
    if not runtime.quantizes or _in_8_bits(scheme) or device.type != "cpu":
        return runtime
    dtype = scheme_of(scheme).autocast()
    return runtime if dtype is torch.float32 else runtime.at(dtype)


def prepared(converted: ConvertedModel, call: Callable[[], Any]) -> float:
    """Compile or export what a call needs, by making it; return the seconds, 0 of eager PyTorch."""
    if converted.compiles:
        seconds = compiled(call)
        if converted.runtime == "compile" and not seconds and not converted.reached:
            raise Skip(
                "runtime: torch.compile reaches nothing of this phase, which calls parts of the "
                "model and not the model itself"
            )
        converted.reached = True
        return seconds
    if converted.runtime is None:
        return 0.0
    start = perf_counter()
    with torch.inference_mode():
        call()
    return perf_counter() - start


def _choose_exportable(model: nn.Module) -> None:
    """Let experts be computed by plain products.

    By default transformers uses an operator of its own for them, which no exporter knows.
    """
    for module in model.modules():
        choose: Any = getattr(module, "set_experts_implementation", None)
        if callable(choose):
            try:
                choose("batched_mm")
            except Exception:  # one whose experts know no other way
                log.info("%s keeps its experts as they are", type(module).__name__, exc_info=True)


def _in_8_bits(scheme: Mapping[str, Any] | None) -> bool:
    return scheme is not None and scheme.get("_target_") != CASTS


def _larger(workload: Workload, converted: ConvertedModel) -> Larger:
    """Return what makes a module's call with twice the batch: a size of one would be fixed."""
    known: dict[tuple[Any, ...], list[Tensor]] = {}
    done: list[str] = []

    def larger(key: tuple[Any, ...]) -> list[Tensor] | None:
        size = 2 * workload.axes.get("batch_size", 0)
        if not size or not workload.takes("batch_size", size):
            return None
        batch = converted.batch(workload.batch(batch_size=size))
        for phase in workload.phases:
            if key in known:
                break
            if phase not in done and phase != "generate":
                done.append(phase)
                known.update(_calls(workload, phase, converted.model, batch))
        return known.get(key)

    return larger


def _calls(
    workload: Workload, phase: str, model: nn.Module, batch: Batch
) -> dict[tuple[Any, ...], list[Tensor]]:
    """Return the inputs of the modules that a phase calls, by path and signature."""
    try:
        call = workload.phase(phase, model, batch)
        calls = capture_all(model, call)
    except Exception:  # what a model does with another batch is its own affair
        log.info("%s with twice the batch", phase, exc_info=True)
        return {}
    found: dict[tuple[Any, ...], list[Tensor]] = {}
    for path, each in calls:
        key = (path, *signature((each.args, each.kwargs), each.tensors))
        found.setdefault(key, each.tensors)
    return found


def _samples(
    workload: Workload, model: nn.Module, attachment: Attachment
) -> dict[str, list[Sequence[Tensor]]]:
    """Return inputs of the modules that the phases call, on what calibration may see."""
    found: dict[str, list[Sequence[Tensor]]] = {}
    with attachment.alone():
        for batch in workload.calibration(CALIBRATION):
            for phase in workload.phases:
                if phase == "generate":
                    continue
                try:
                    calls = capture_all(model, workload.phase(phase, model, batch))
                except (Skip, RuntimeError):
                    log.info("%s is not calibrated on", phase, exc_info=True)
                    continue
                for path, each in calls:
                    found.setdefault(path, []).append(each.tensors)
    return found
