"""One job, as Hydra calls it in whichever process its launcher chose."""

from __future__ import annotations

import shlex
import signal
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from modelbench import config as schema
from modelbench import environment, runner
from modelbench.mistakes import mistakes, refuse
from modelbench.plan import make_importable
from modelbench.results import Job, Summary
from modelbench.sinks.console import Console, terminal
from modelbench.sinks.files import Files
from modelbench.sweep import Sweep
from modelbench.worker import start_server

schema.register()  # at import, so that it holds in the processes of other launchers too


def job(config: DictConfig) -> None:
    """Run one job; a single one that fails ends the process with status 1."""
    hydra_config = HydraConfig.get()
    end_on_sigterm()
    folders = _folders(hydra_config)
    make_importable(folders)
    found = mistakes(config, [schema.CONF, *folders])
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    about = _job(plain, hydra_config)
    tracker = instantiate(config.tracker) if config.tracker._target_ else None
    sinks = [Files(), Console(), *([tracker] if tracker else [])]
    try:
        if found:
            raise runner.ConfigurationError(found)
        start_server([plain["model"]["build"]["_target_"]])
        if tracker:
            tracker.prepare(about.directory)
        status = runner.run(about, sinks).status
    except runner.ConfigurationError as error:
        status = "failed"
        refuse(error.mistakes)
        files = Files()
        files.open(about)
        files.close(Summary(status, reason="; ".join(error.mistakes)))
    else:
        _show_where(about.directory, tracker.hint() if tracker and not about.sweep_id else None)
    if hydra_config.mode is RunMode.RUN and status != "passed":
        sys.exit(1)  # in a sweep, the summary counts the failures


def end_on_sigterm() -> None:
    """Turn SIGTERM into an exception, so that everything is closed as after Ctrl-C."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _job(plain: dict[str, Any], hydra_config: HydraConf) -> Job:
    sweep = Sweep.current
    command = ["python", "-m", "modelbench", *hydra_config.overrides.task]
    for folder in _folders(hydra_config):
        command += ["--config-dir", str(folder)]
    return Job(
        name=schema.job_name(plain),
        model=plain["model"]["name"],
        test=schema.test_label(plain),
        device=plain["device"]["name"],
        precision=plain["precision"]["name"],
        axes=schema.axes(plain),
        seed=plain["seed"],
        config=plain,
        command=shlex.join(command),
        directory=Path(hydra_config.runtime.output_dir),
        environment=_host(),
        sweep_id=sweep.id if sweep else None,
        parent_run_id=sweep.parent_run_id if sweep else None,
    )


@lru_cache(maxsize=1)
def _host() -> dict[str, Any]:
    return environment.host()


def _folders(hydra_config: HydraConf) -> list[Path]:
    """Give the folders of configurations beside our own."""
    sources = hydra_config.runtime.config_sources
    paths = [Path(source.path) for source in sources if source.schema == "file"]
    return [path for path in paths if path != schema.CONF]


def _show_where(directory: Path, hint: str | None) -> None:
    place = directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
    out = terminal()
    out.print(f"Files: {place}", soft_wrap=True)
    if hint:
        out.print(hint, soft_wrap=True, markup=False)
