"""The command line: check it, let Hydra run its jobs, tell by the exit status how they ended."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser

from modelbench.system.signals import Terminated


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console may lack characters of names and paths
            stream.reconfigure(errors="replace")
    parser = get_args_parser()
    parser.prog = "python -m modelbench"
    try:
        args = parser.parse_intermixed_args(arguments)
    except SystemExit as end:  # argparse has said what is wrong, and would exit with 2
        return 1 if end.code else 0
    from modelbench.execution.resuming import NoSweepError, asked

    resumed = None
    try:
        resumed, overrides = asked(args.overrides, args.config_dir, multirun=args.multirun)
    except NoSweepError as error:
        from modelbench.sinks.console import refuse

        refuse([str(error)])
        return 1
    given = resumed.config_dir if resumed else args.config_dir
    folders = [Path(given).absolute()] if given else []
    if args.help:
        from modelbench.execution.cli.help import usage

        sys.stdout.write(usage(folders))
        return 0
    # Hydra's own parser takes overrides only in one piece, not with a flag among them.
    flags = [word for word in arguments if word not in args.overrides]
    if given and not args.config_dir:
        flags += ["--config-dir", str(given)]
    if not (args.hydra_help or args.info or args.shell_completion):
        from modelbench.config.user_modules import make_importable
        from modelbench.execution.cli.plan import plan
        from modelbench.execution.worker import start_server
        from modelbench.sinks.console import refuse

        make_importable(folders)
        made = plan(overrides, folders, multirun=args.multirun, dry=bool(args.cfg), resumed=resumed)
        if made.errors:
            refuse(made.errors)
            return 1
        overrides = made.overrides
        if not args.cfg:
            start_server(made.targets)
    return _with_hydra([*flags, *overrides])


def _with_hydra(words: Sequence[str]) -> int:
    """Let Hydra run the jobs, and close the sweep however they end."""
    import hydra

    from modelbench.config.schema import CONF
    from modelbench.execution.job import job
    from modelbench.execution.sweep import Sweep

    logging.raiseExceptions = False  # a log on a full disk is no reason to print tracebacks
    killed: str | None = None
    status = 0
    sys.argv[1:] = words
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    except KeyboardInterrupt:
        killed, status = "Ctrl-C", 130
    except Terminated as end:
        killed, status = end.name, int(str(end.code))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    if Sweep.current is not None:
        passed = Sweep.current.finish(killed) == "passed"
        status = status or (0 if passed else 1)
    return status
