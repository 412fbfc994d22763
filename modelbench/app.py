"""The command line: check it, let Hydra run its jobs, tell by the exit status how they ended."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from modelbench import config as schema
from modelbench import environment, runner, worker
from modelbench.mistakes import mistakes
from modelbench.plan import plan
from modelbench.results import Job, JobStatus, Summary
from modelbench.sinks.console import Console, terminal
from modelbench.sinks.files import Files
from modelbench.sweep import Sweep

schema.register()  # at import, so that it holds in the processes of other launchers too


def run(arguments: Sequence[str]) -> int:
    """Run a command line; give its exit status."""
    parser = get_args_parser()
    parser.prog = "python -m modelbench"
    try:
        args = parser.parse_args(arguments)
    except SystemExit as end:  # argparse has said what is wrong, and would exit with 2
        return 1 if end.code else 0
    folders = [Path(args.config_dir).absolute()] if args.config_dir else []
    _make_importable(folders)
    if not (args.help or args.hydra_help or args.info or args.shell_completion):
        made = plan(args.overrides, folders, multirun=args.multirun)
        if made.mistakes:
            return _refuse(made.mistakes)
        if not args.cfg:
            worker.start_server(made.targets)
        if args.multirun:
            arguments = [*arguments, f"hydra.sweep.dir='{made.folder}'"]
    killed: str | None = None
    status = 0
    try:
        _end_on_sigterm()
        sys.argv[1:] = arguments
        hydra.main(version_base="1.3", config_path=str(schema.CONF), config_name="config")(job)()
    except KeyboardInterrupt:
        killed, status = "Ctrl-C", 130
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        killed = "SIGTERM" if status == 128 + signal.SIGTERM else None
    if Sweep.current is not None:
        passed = Sweep.current.finish(killed) == "passed"
        status = status or (0 if passed else 1)
    return status


def job(config: DictConfig) -> None:
    """Run one job, in whichever process Hydra's launcher chose for it."""
    hydra_config = HydraConfig.get()
    _end_on_sigterm()
    folders = _folders(hydra_config)
    _make_importable(folders)
    found = mistakes(config, [schema.CONF, *folders])
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    about = _job(plain, hydra_config)
    files, tracker = Files(), instantiate(config.tracker) if config.tracker._target_ else None
    sinks = [files, Console(), *([tracker] if tracker else [])]
    worker.start_server([plain["model"]["build"]["_target_"]])
    try:
        if found:
            raise runner.ConfigurationError(found)
        status: JobStatus = runner.run(about, sinks).status
    except runner.ConfigurationError as error:
        _refuse(error.mistakes)
        files.open(about)
        files.close(Summary("failed", reason="; ".join(error.mistakes)))
        status = "failed"
    else:
        _show_where(about.directory, tracker.hint() if tracker and not about.sweep_id else None)
    if hydra_config.mode is RunMode.RUN and status != "passed":
        sys.exit(1)  # in a sweep, the summary counts the failures


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


def _make_importable(folders: Sequence[Path]) -> None:
    """Let a `_target_` name a module that stands beside the user's configurations."""
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _refuse(found: Sequence[str]) -> int:
    out = terminal(errors=True)
    count = "a mistake" if len(found) == 1 else f"{len(found)} mistakes"
    out.print(f"[bold red]modelbench:[/] {count} in the configuration", soft_wrap=True)
    for mistake in found:
        out.print(f"  - {mistake}", markup=False, soft_wrap=True)
    return 1


def _show_where(directory: Path, hint: str | None) -> None:
    place = directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
    out = terminal()
    out.print(f"Files: {place}", soft_wrap=True)
    if hint:
        out.print(hint, soft_wrap=True, markup=False)


def _end_on_sigterm() -> None:
    """Turn SIGTERM into an exception, so that everything is closed as after Ctrl-C."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)
