"""`results.json`, written anew as each stage ends, so that a killed job leaves what it had."""

from __future__ import annotations

from dataclasses import replace

from rich.markup import escape

from modelbench.results import Job, Result, Summary, document
from modelbench.results.json_file import write_json
from modelbench.sinks.console import terminal


class Files:
    """Writes `results.json` into the job's folder."""

    closed = False
    lost = False
    """Whether the last results could not be written."""

    def open(self, job: Job) -> None:
        """Write the job, with what it had found before it was ended, if it is resumed."""
        self._job = job
        self._results = {result.stage: result for result in job.earlier or ()}
        self._write(Summary("running", [*self._results.values()]))

    def progress(self, stage: str, text: str) -> None:
        """Do nothing: progress is for people who wait."""

    def keep(self, result: Result) -> None:
        """Write it with all others so far."""
        self.record(result)

    def record(self, result: Result) -> None:
        """Write all results so far."""
        self._results[result.stage] = result
        self._write(Summary("running", [*self._results.values()]))

    def close(self, summary: Summary) -> None:
        """Write how the job ended; what it had found before it was resumed is not lost."""
        ran = {result.stage: result for result in summary.results}
        before = [each for stage, each in self._results.items() if stage not in ran]
        self._write(replace(summary, results=[*ran.values(), *before]))
        self.closed = True

    def _write(self, summary: Summary) -> None:
        """Write it; a disk that refuses is told once, and the job goes on: its tables are seen."""
        file = self._job.directory / "results.json"
        try:
            write_json(file, document(self._job, summary))
        except OSError as error:
            if not self.lost:
                terminal(errors=True).print(
                    f"\n[yellow]warning:[/] {escape(str(file))} cannot be written "
                    f"({escape(str(error.strerror or error))}): it has what came before; make "
                    "room, or choose another folder with hydra.run.dir=FOLDER",
                    soft_wrap=True,
                )  # fmt: skip
            self.lost = True
        else:
            self.lost = False
