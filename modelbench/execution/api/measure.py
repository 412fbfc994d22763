"""`modelbench.measure`: the stages of the command line for a module in hand."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from modelbench.config.error import ConfigurationError
from modelbench.execution.api.live import Live, Unpicklable
from modelbench.execution.api.progress import Progress
from modelbench.execution.api.results import Results
from modelbench.execution.protocol import PRELOAD
from modelbench.execution.worker import ASK_NVML

if TYPE_CHECKING:
    from torch import nn

    from modelbench.execution.api.live import Inputs
    from modelbench.results import Job

TOLD = (PRELOAD, ASK_NVML)
"""Environment variables by which the fork server is told what to do."""


def measure(  # noqa: PLR0913  (each is one of the command line's groups)
    module: nn.Module | Callable[[], nn.Module] | str,
    inputs: Inputs | None = None,
    *,
    test: str | Sequence[str] = "all",
    device: str = "auto",
    precision: str = "fp32",
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
    from modelbench.execution.cli.output_dir import reserve

    place, error = reserve(_place(module, folder), named=folder is not None)
    if error:
        raise ConfigurationError([error])
    words = [f"test=[{test}]" if isinstance(test, str) else f"test=[{','.join(test)}]"]
    words += [f"device={device}", f"precision={precision}", "tracker=none", *overrides]
    folders: list[Path] = []
    here: nn.Module | None = None
    if isinstance(module, str):
        if inputs is not None or loss is not None:
            raise ConfigurationError(["a model by its name has its own inputs and loss"])
        words.insert(0, f"model={module}")
    else:
        try:
            live = Live.of(module, inputs, loss, place)
        except Unpicklable as why:
            live, here = Live.here(module, inputs, loss, place), _module(module)
            note = f"measured in this process, since the module cannot be handed to another: {why}"
        folders = [live.folder]
        words.insert(0, f"model={live.name}")
    about = _job(words, folders, place)
    if here is not None:
        from modelbench.execution.api.here import run_here

        return Results(run_here(about, here, note), place)
    return _run(about, place)


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
    with _nobody():
        about = with_weights(about)
        start_server(ahead(about.config))
        if tracker:
            tracker.prepare(about.directory)
        runner.run(about, [files, Page(), Progress(about), *([tracker] if tracker else [])])
    return Results.read(place)


def _job(words: Sequence[str], folders: Sequence[Path], place: Path) -> Job:
    """Compose and check the configuration; raises ConfigurationError."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from modelbench.config import schema
    from modelbench.config.user_modules import make_importable
    from modelbench.config.validate import check
    from modelbench.execution.cli.overrides import quoted
    from modelbench.execution.cli.plan import plan
    from modelbench.execution.job import described

    make_importable(folders)
    with _own_hydra(GlobalHydra.instance()):
        made = plan([*words, f"hydra.run.dir={quoted(str(place))}"], folders, multirun=False)
        if made.errors:
            raise ConfigurationError(made.errors)
        paths = ",".join(quoted(f"file://{each}") for each in folders)
        search = [f"hydra.searchpath=[{paths}]"] if folders else []
        with initialize_config_dir(str(schema.CONF), version_base="1.3", job_name="modelbench"):
            config = compose("config", [*search, *made.overrides])
    checked = check(config, [schema.CONF, *folders])
    if checked.errors:
        raise ConfigurationError(checked.errors)
    own = [f"--config-dir={shlex.quote(str(each))}" for each in folders]
    command = " ".join(["python -m modelbench", *own, shlex.join(words)])
    return described(checked.plain, command, place)


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
def _own_hydra(instance: Any) -> Iterator[None]:
    """Let the caller be a Hydra application itself."""
    before = instance.hydra
    instance.hydra = None
    try:
        yield
    finally:
        instance.hydra = before


@contextmanager
def _nobody() -> Iterator[None]:
    """Let no worker run the caller's script once more, which may lack a guard of `__main__`.

    What a new process prepares by is read from `sys.modules["__main__"]`; a module that stands in
    the script goes to it by value.
    """
    own, environment = sys.modules["__main__"], dict(os.environ)
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = own
        for name in TOLD:
            os.environ.pop(name, None)
            if name in environment:
                os.environ[name] = environment[name]
