"""The terminal: what is going on, then one table a stage. Reads as well in a pipe."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console as Terminal
from rich.console import RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from modelbench.results import Job, Result, Summary
from modelbench.sinks.tables import COLOURS, stage_table

PIPE_WIDTH = 120


class _Terminal(Terminal):
    def on_broken_pipe(self) -> None:
        """Fall silent where the reader has gone (`| head`): the measurement goes on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    if sys.platform == "win32":

        def _check_buffer(self) -> None:
            """Take Windows' error for a broken pipe, which Rich does not know, as one."""
            try:
                super()._check_buffer()
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self.on_broken_pipe()


def terminal(*, errors: bool = False) -> Terminal:
    """Return a terminal; what goes into a pipe or a file is not folded at 80 columns."""
    plain = _Terminal(highlight=False, stderr=errors)
    if plain.is_terminal:
        return plain
    return _Terminal(highlight=False, stderr=errors, width=PIPE_WIDTH)


def written_out(content: RenderableType) -> str:
    """Return what a terminal would show, without colours."""
    plain = Terminal(highlight=False, width=PIPE_WIDTH)
    with plain.capture() as captured:
        plain.print(content)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def shortened(path: Path) -> Path:
    """Return a path as seen from the current folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


class Console:
    """Prints the job as it goes."""

    def __init__(self) -> None:
        self._terminal = terminal()
        self._live: Live | None = None

    def open(self, job: Job) -> None:
        """Print what is about to be measured, and where."""
        sizes = " ".join(f"{axis}={size}" for axis, size in job.axes.items())
        cpu = f"{job.environment.get('cpu')}, {job.environment.get('cpu_cores')} cores"
        where = (
            f"{job.environment.get('gpu', cpu)}, torch {job.environment['versions'].get('torch')}"
        )
        memory, cores = (job.environment.get(key) for key in ("memory_limit_gib", "cpu_quota"))
        where += f", limited to {memory:g} GiB" if memory else ""
        where += f", CPU quota of {cores:g} cores" if cores else ""
        head = f"\n[bold]{escape(job.model)}[/] in {job.precision} on {job.device}, {sizes}"
        self._terminal.print(f"{head}\n[dim]{escape(where)}[/]")

    def progress(self, stage: str, text: str) -> None:
        """Show what the stage is doing, on one line that its result replaces; '' takes it away."""
        if not self._terminal.is_terminal:
            return
        if not text:
            self._end_progress()
            return
        if self._live is None:
            # Drawn when something happens and not in between: an animation would take time from
            # the model whose time is taken.
            self._live = Live(console=self._terminal, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(f"{stage}: {text} ...", style="dim"), refresh=True)

    def keep(self, result: Result) -> None:
        """Do nothing: what is recorded is complete."""

    def record(self, result: Result) -> None:
        """Print the stage's table."""
        self._end_progress()
        self._terminal.print()
        self._terminal.print(stage_table(result))

    def close(self, summary: Summary) -> None:
        """Print the verdict."""
        self._end_progress()
        counts = [
            f"{count} {status}"
            for status in ("passed", "failed", "skipped")
            if (count := sum(result.status == status for result in summary.results))
        ]
        why = f": {escape(summary.reason)}" if summary.reason else ""
        said = ", ".join(counts) or "no stage ran"
        colour = COLOURS[summary.status]
        self._terminal.print(f"\n[bold {colour}]{summary.status}[/]{why} ({said})")

    def _end_progress(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def refuse(found: Sequence[str]) -> None:
    """Print the configuration errors, one line each."""
    out = terminal(errors=True)
    count = "a configuration error" if len(found) == 1 else f"{len(found)} configuration errors"
    out.print(f"[bold red]modelbench:[/] {count}", soft_wrap=True)
    for line in found:
        out.print(f"  - {line}", markup=False, soft_wrap=True)
