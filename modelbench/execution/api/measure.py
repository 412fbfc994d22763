"""`modelbench.measure`: the stages of the command line for a module in hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from modelbench.config.error import ConfigurationError
from modelbench.execution.api.live import Live, Unpicklable
from modelbench.execution.api.progress import Progress
from modelbench.execution.api.results import Results
from modelbench.execution.composed import composed
from modelbench.execution.protocol import PRELOAD
from modelbench.execution.worker import ASK_NVML

if TYPE_CHECKING:
    from torch import nn

    from modelbench.execution.api.live import Inputs
    from modelbench.results import Job


ONE_AT_A_TIME = RLock()
"""Hydra and the fork server are one for all threads of a process."""


def measure(  # noqa: PLR0913  (each is one of the command line's groups)
    module: nn.Module | Callable[[], nn.Module] | str,
    inputs: Inputs | None = None,
    *,
    test: str | Sequence[str] = "all",
    device: str = "auto",
    precision: str = "fp32",
    runtime: str = "eager",
    overrides: Sequence[str] = (),
    loss: Callable[..., Any] | None = None,
    folder: str | Path | None = None,
) -> Results:
    """Measure a module, what makes one, or the model of that name, as the command line does.

    `inputs` are a tensor, a tuple, or a mapping of forward arguments to tensors or to sources of
    `modelbench.inputs`; axes follow from their shapes. `loss(outputs, batch)` returns a scalar.
    `overrides` are those of the command line, such as `"test.benchmark.budget_s=20"`; what a stage
    finds stands in the result, and nothing of the caller is changed. Raises ConfigurationError
    (a ValueError) with all errors of the call.
    """
    words = [f"test=[{test}]" if isinstance(test, str) else f"test=[{','.join(test)}]"]
    words += [f"device={device}", f"precision={precision}", f"runtime={runtime}"]
    words += ["tracker=none", *overrides]
    with ONE_AT_A_TIME:
        return _measured(module, (inputs, loss), words, folder)


def profile(
    module: nn.Module | Callable[[], nn.Module] | str, inputs: Inputs | None = None, **options: Any
) -> Results:
    """Find where the time of a module goes: `.profile` of what comes back has one row a layer.

    Takes what `measure` takes, but for the stages.
    """
    return measure(module, inputs, test="profile", **options)


def _measured(
    module: Any, given: tuple[Any, Any], words: list[str], folder: str | Path | None
) -> Results:
    """Measure it with inputs and loss by the words of a command line."""
    from modelbench.execution.cli.output_dir import reserve

    place, error = reserve(_place(module, folder), named=folder is not None)
    if error:
        raise ConfigurationError([error])
    if isinstance(module, str):
        if given != (None, None):
            raise ConfigurationError(["a model by its name has its own inputs and loss"])
        return _run(composed([f"model={module}", *words], [], place), place)
    try:
        live = Live.of(module, *given, place)
    except Unpicklable as why:
        from modelbench.execution.api.here import run_here

        live = Live.here(module, *given, place)
        about = composed([f"model={live.option}", *words], [live.folder], place)
        note = f"measured in this process, since the module cannot be handed to another: {why}"
        return Results(run_here(about, _module(module), given[1], note), place)
    return _run(composed([f"model={live.option}", *words], [live.folder], place), place)


def _run(about: Job, place: Path) -> Results:
    from hydra.utils import instantiate

    from modelbench.config.preloads import ahead
    from modelbench.execution import runner
    from modelbench.execution.job import with_weights
    from modelbench.execution.worker import start_server
    from modelbench.sinks.files import Files
    from modelbench.sinks.page import Page

    settings = about.config["tracker"]
    tracker = instantiate(settings) if settings.get("_target_") else None
    files = Files()
    with _told_nothing():
        about = with_weights(about)
        start_server(ahead(about.config))
        if tracker:
            tracker.prepare(about.directory)
        runner.run(about, [files, Page(), Progress(about), *([tracker] if tracker else [])])
    return Results.read(place)


def _place(module: Any, folder: str | Path | None) -> Path:
    if folder is not None:
        return Path(folder).absolute()
    now = datetime.now().astimezone()
    name = module if isinstance(module, str) else Live.name_of(module)
    return Path("outputs", "runs", f"{now:%Y-%m-%d}", f"{now:%H-%M-%S}-{name}").absolute()


def _module(made: Any) -> Any:
    from torch import nn

    return made if isinstance(made, nn.Module) else made()


@contextmanager
def _told_nothing() -> Iterator[None]:
    """Leave the environment as it was before the fork server was told what to do."""
    environment = dict(os.environ)
    try:
        yield
    finally:
        for name in (PRELOAD, ASK_NVML):
            os.environ.pop(name, None)
            if name in environment:
                os.environ[name] = environment[name]
