"""One job, as Hydra calls it in whichever process its launcher chose."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig

from modelbench.config import schema
from modelbench.config.checkpoint import errors as checkpoint_errors
from modelbench.config.checkpoint import fetch
from modelbench.config.error import ConfigurationError
from modelbench.config.preloads import ahead
from modelbench.config.user_modules import make_importable
from modelbench.config.validate import check
from modelbench.execution import runner
from modelbench.execution.device_lock import alone_on, known_here
from modelbench.execution.rerun import command_line, own_folders
from modelbench.execution.resuming import changed, earlier, finished, wanted
from modelbench.execution.sweep import Sweep
from modelbench.execution.worker import start_server
from modelbench.results import Job, Summary
from modelbench.sinks.console import Console, refuse, shortened, terminal
from modelbench.sinks.files import Files
from modelbench.sinks.page import REPORT, Page
from modelbench.system import environment
from modelbench.system.signals import Terminated, install

schema.register()  # at import, so that it holds in the processes of other launchers too


def job(config: DictConfig) -> None:
    """Run one job; a single one that fails ends the process with status 1."""
    hydra_config = HydraConfig.get()
    install()
    folders = own_folders(hydra_config)
    make_importable(folders)
    checked = check(config, [schema.CONF, *folders])
    if not checked.plain:  # nothing to name the job by; the command line's own check has passed it
        raise ConfigurationError(checked.errors)
    directory = Path(hydra_config.runtime.output_dir)
    about = described(checked.plain, command_line(hydra_config), directory)
    if (sweep := Sweep.current) is not None:
        about = replace(
            about, sweep_id=sweep.id, number=hydra_config.job.num,
            parent_run_id=sweep.parent_run_id,
        )  # fmt: skip
        if sweep.again is not None:
            before = earlier(directory)
            _check_same(about, before)  # also of one that has passed: its place is another's now
            if not wanted(before, sweep.again):
                return
            about = _going_on(about, before)
    settings = checked.plain["tracker"]
    tracker = instantiate(settings) if settings.get("_target_") else None
    files = Files()
    # The page reads results, and the tracker takes the page: they close in this order.
    sinks = [files, Page(), Console(), *([tracker] if tracker else [])]
    files.open(about)  # from here on the sweep knows of the job
    try:
        if checked.errors:
            raise ConfigurationError(checked.errors)
        about = with_weights(about)
        # Before anything heavy starts, which would disturb the job that has the device.
        with alone_on(about.device, directory.parent if about.sweep_id else None), known_here():
            start_server(ahead(about.config))
            if tracker:
                tracker.prepare(about.directory)
            status = runner.run(about, sinks).status
    except ConfigurationError as error:
        status = "failed"
        refuse(error.errors)
        summary = Summary(status, reason="; ".join(error.errors))
        files.close(summary)
        if tracker and about.sweep_id:  # the parent run shall miss no child
            tracker.open(about)
            tracker.close(summary)
    except Terminated as stop:
        if not files.closed:  # it came before the runner had opened the sinks
            files.close(Summary("killed", reason=f"stopped by {stop.name}"))
        raise
    else:
        _show_where(about.directory, tracker.hint() if tracker and not about.sweep_id else None)
    if hydra_config.mode is RunMode.RUN and (status != "passed" or files.lost):
        sys.exit(1)  # in a sweep, the summary counts the failures


def _check_same(about: Job, before: dict[str, Any] | None) -> None:
    """Raise ConfigurationError where what a folder has is of another job."""
    if before is not None and (differences := changed(before, about.config)):
        raise ConfigurationError([f"resume: job {about.number}: {line}" for line in differences])


def _going_on(about: Job, before: dict[str, Any] | None) -> Job:
    """Return the job with what it has found."""
    if before is None:
        return about
    return replace(about, id=before.get("id", about.id), earlier=finished(before))


def with_weights(about: Job) -> Job:
    """Fetch the weights before any clock runs; raises ConfigurationError where they are none."""
    model = about.config["model"]
    if model["weights"] != "pretrained":
        return about
    try:
        found = fetch(model["checkpoint"], weights=True, code=model["trust_remote_code"])
    except LookupError as error:
        raise ConfigurationError([str(error)]) from error
    wrong = list(checkpoint_errors({**model, "checkpoint": found}))
    if wrong:
        raise ConfigurationError(wrong)
    return replace(about, config={**about.config, "model": {**model, "checkpoint": found}})


def described(plain: dict[str, Any], command: str, directory: Path) -> Job:
    """Return the job that a checked configuration stands for."""
    return Job(
        name=schema.job_name(plain),
        model=plain["model"]["name"],
        test=schema.test_label(plain),
        device=plain["device"]["name"],
        precision=plain["precision"]["name"],
        axes=schema.axes(plain),
        seed=plain["seed"],
        config=plain,
        command=command,
        directory=directory,
        environment=_host(),
    )


@lru_cache(maxsize=1)
def _host() -> dict[str, Any]:
    return environment.host()


def _show_where(directory: Path, hint: str | None) -> None:
    out = terminal()
    out.print(f"Files: {shortened(directory)}", soft_wrap=True, markup=False)
    if (directory / REPORT).is_file():
        out.print(f"Report: {shortened(directory / REPORT)}", soft_wrap=True, markup=False)
    if hint:
        out.print(hint, soft_wrap=True, markup=False)
