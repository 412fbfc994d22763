"""One side of an interleaved comparison: holds a model, and times its calls when it is asked.

Reads a request as JSON from each line of its input, and answers likewise; what the model's code
prints goes to the error stream.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from modelbench.execution.comparing.commands import parted

LEAST_CALLS = 2


def main(words: Sequence[str]) -> None:
    """Prepare the phases of a command line, then answer until the other end hangs up."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        calls, device = _prepared(words)
    except Exception as error:  # the model's code may raise anything
        lines = getattr(error, "errors", None) or [f"{type(error).__name__}: {error}"]
        answer(errors=list(lines))
        return
    answer(phases=list(calls))
    for line in sys.stdin:
        asked = json.loads(line)
        call = calls[asked["phase"]]
        if asked["slower"]:
            call = slowed(call, asked["slower"], device)
        answer(ms=_burst(call, device, asked["seconds"]))


def _burst(call: Callable[[], Any], device: Any, seconds: float) -> list[float]:
    """Time a call for so long, twice at least; before it once more, for the other side's caches."""
    import torch

    from modelbench.measurement.timing.timing import no_collection, sampler

    found: list[float] = []
    with torch.inference_mode(), no_collection():
        sample = sampler(call, device)
        sample()
        end = perf_counter() + seconds
        while len(found) < LEAST_CALLS or perf_counter() < end:
            found.append(sample()[0])
    return found


def slowed(call: Callable[[], Any], share: float, device: Any) -> Callable[[], Any]:
    """Return a call that takes so much longer, as a share of its own time."""
    from modelbench.system.accelerator import synchronize

    def longer() -> None:
        start = perf_counter()
        call()
        synchronize(device)
        end = start + (perf_counter() - start) * (1 + share)
        while perf_counter() < end:
            pass

    longer.rewind = getattr(call, "rewind", lambda: None)  # type: ignore[attr-defined]
    return longer


def _prepared(words: Sequence[str]) -> tuple[dict[str, Callable[[], Any]], Any]:
    """Return each phase's call, and the device; raises ConfigurationError among others."""
    from modelbench.config.error import ConfigurationError
    from modelbench.config.user_modules import make_importable
    from modelbench.execution.alternatives import has_alternatives, working_inputs
    from modelbench.execution.composed import composed
    from modelbench.execution.job import with_weights
    from modelbench.models.workload import Workload
    from modelbench.results import Skip
    from modelbench.runtimes.deploy import deploy
    from modelbench.system import accelerator

    overrides, folders = parted(words)
    make_importable(folders)
    with tempfile.TemporaryDirectory() as place:
        job = with_weights(composed([*overrides, "tracker=none"], folders, Path(place)))
    accelerator.use_threads(job.config["device"]["threads"])
    device = accelerator.choose(job.config["device"]["name"])
    config = job.config
    if config["model"]["weights"] == "fake":
        raise ConfigurationError(["model.weights=fake computes shapes only: nothing can be timed"])
    if has_alternatives(config):
        found = working_inputs(config, job.axes, device)
        config = {**config, "model": {**config["model"], **found}}
    workload = Workload.of(config, job.axes, device)
    converted = deploy(workload)
    batch = converted.batch(workload.batch())
    calls: dict[str, Callable[[], Any]] = {}
    for phase in workload.phases:
        try:
            calls[phase] = workload.phase(phase, converted.model, batch)
        except Skip:
            continue
    return calls, device


if __name__ == "__main__":
    main(sys.argv[1:])
