"""A sweep seen as a whole: a parent run, and at its end one row for every job."""

from __future__ import annotations

import csv
import io
import logging
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from filelock import Timeout
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.utils import instantiate
from omegaconf import DictConfig

from modelbench.execution.rerun import command_line, own_folders
from modelbench.execution.resuming import KEYS, earlier, hydras_own, lock_of, wanted
from modelbench.results import JobStatus
from modelbench.results.commands import joined, words_of
from modelbench.results.json_file import write_json, write_text
from modelbench.results.reading import SWEEP, read_json, results_files
from modelbench.sinks.console import refuse, shortened, terminal
from modelbench.sinks.page import REPORT
from modelbench.sinks.tables import sweep_table
from modelbench.system.signals import held_back

log = logging.getLogger(__name__)


class Sweep(Callback):
    """Opened by Hydra, which also carries it to the processes of other launchers."""

    current: ClassVar[Sweep | None] = None
    """The sweep that this process launches, or whose job it runs."""

    def __init__(self, again: str | None = None) -> None:
        self.again = again
        """Which jobs of a sweep that was ended before are run: `missing or failed`, or `failed`."""
        self.id: str | None = None
        self.parent_run_id: str | None = None
        self._directory = Path()
        self._tracker: Any = None
        self._command = ""
        self._about: dict[str, Any] = {}
        self._lock: Any = None
        self.expected: int | None = None
        """Jobs that the sweep consists of, as its sweeper says."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Open the parent run, or go on with it."""
        self._directory = Path(config.hydra.sweep.dir).absolute()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = lock_of(self._directory)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            refuse([f"hydra.sweep.dir={self._directory}: another sweep is running there"])
            raise SystemExit(1) from None
        before = read_json(self._directory / SWEEP) if self.again else {}
        self.id = before.get("id") or f"{self._directory.name}-{uuid.uuid4().hex[:8]}"
        Sweep.current = self
        self._command = before.get("command") or command_line(config.hydra, "--multirun")
        overrides = [str(word) for word in config.hydra.overrides.task]
        self._about = {
            "id": self.id, "command": self._command, "overrides": overrides,
            "config_dir": next(map(str, own_folders(config.hydra)), None),
            "hydra": hydras_own(config.hydra.overrides.hydra),
        }  # fmt: skip
        # Written first: whatever ends the sweep, it can go on.
        write_json(self._directory / SWEEP, {**self._about, "status": "running", "jobs": []})
        if self.again:
            self._tell_what_is_left()
        if config.tracker._target_:
            self._tracker = instantiate(config.tracker)
            varied = [entry.partition("=") for entry in overrides]
            params = {key.lstrip("+"): value for key, _, value in varied}
            self.parent_run_id = self._tracker.open_sweep(
                self.id, self._directory, params, again=self.again is not None
            )

    def _tell_what_is_left(self) -> None:
        found = [earlier(file.parent) for file in results_files(self._directory)]
        done = sum(not wanted(document, str(self.again)) for document in found)
        terminal().print(
            f"Going on with {shortened(self._directory)}: {done} of its jobs have passed, and what "
            f"is {self.again} is run", soft_wrap=True, markup=False,
        )  # fmt: skip

    def on_job_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ARG002
        """Let the job know its sweep, in whichever process it runs."""
        if self.id:
            Sweep.current = self

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:  # noqa: ARG002
        """Let go of the job's configurations, which Hydra would keep until the sweep ends."""
        job_return.cfg = job_return.hydra_cfg = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave tracker and lock behind: they belong to the process that launches."""
        return {**self.__dict__, "_tracker": None, "_lock": None}

    def finish(self, killed: str | None) -> JobStatus:
        """Write and print the summary, end the parent run, and tell how the sweep ended."""
        rows = self._rows()
        counts = Counter(row["status"] for row in rows)
        status: JobStatus = "failed" if counts["passed"] < len(rows) else "passed"
        missing = 0 if self.again == KEYS["retry"] else (self.expected or 0) - len(rows)
        if killed or not rows or missing > 0:
            status = "killed" if killed else "failed"
        with held_back():
            content = {**self._about, "status": status, "jobs": rows}
            files = [*self._written(content, rows), *self._report(content)]
            if self._tracker is not None:
                tallies = {"jobs": len(rows), **{key: counts[key] for key in ("passed", "failed")}}
                fastest = next((key for row in rows for key in row if key.endswith("/p50_ms")), "")
                self._tracker.close_sweep(status, tallies, files, fastest)
        out = terminal()
        out.print()
        out.print(sweep_table(rows))
        where = shortened(self._directory)
        if missing > 0:
            out.print(
                f"\n{missing} of {self.expected} jobs left no results; --multirun "
                f"{joined([f'resume={where}'])} runs them", soft_wrap=True, markup=False,
            )  # fmt: skip
        out.print(f"\nThe sweep's files are in {where}", soft_wrap=True, markup=False)
        if (self._directory / REPORT).is_file():
            out.print(f"Report: {where / REPORT}", soft_wrap=True, markup=False)
        if self._tracker is not None and (hint := self._tracker.hint()):
            out.print(hint, soft_wrap=True, markup=False)
        if self._lock is not None:
            self._lock.release()
        return status

    def _written(self, content: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
        """Write the summary; on a full disk, say that the sweep can go on."""
        try:
            write_json(self._directory / SWEEP, content)
            write_text(self._directory / "sweep.csv", _as_csv(rows))
        except OSError as error:
            log.exception("the summary could not be written")
            terminal(errors=True).print(
                f"the sweep's summary could not be written ({error.strerror}); once there is room, "
                f"--multirun {joined([f'resume={shortened(self._directory)}'])} goes on",
                soft_wrap=True, markup=False,
            )  # fmt: skip
            return []
        return ["sweep.csv", SWEEP]

    def _report(self, content: dict[str, Any]) -> list[str]:
        """Write the page of the sweep and give its files; what goes wrong loses nothing."""
        from modelbench.sinks.report.sweep import sweep_page

        try:
            page, plots = sweep_page(content, self._command, self._directory)
            write_text(self._directory / REPORT, page)
        except Exception as error:  # the results are on disk
            log.exception("%s could not be written", REPORT)
            terminal(errors=True).print(f"{REPORT} could not be written: {error}", markup=False)
            return []
        return [REPORT, *plots]

    def _rows(self) -> list[dict[str, Any]]:
        """Return a row for each job of this sweep, from what it left on disk."""
        found = [earlier(file.parent) for file in results_files(self._directory)]
        mine = [document for document in found if document and document["sweep_id"] == self.id]
        return [_row(document) for document in sorted(mine, key=lambda d: int(d["number"]))]


def _row(found: dict[str, Any]) -> dict[str, Any]:
    status, reason = found["status"], found["reason"]
    if status == "running":
        status, reason = "failed", "the job's process was killed"
    for stage, result in found["stages"].items():
        if result["status"] == "failed" and not reason:
            reason = f"{stage}: {result['reason']}"
    metrics = {
        name: metric["value"]
        for result in found["stages"].values()
        for name, metric in result["metrics"].items()
    }
    about = {key: found[key] for key in ("name", "model", "test", "device", "precision")}
    told = {"model", "test", "device", "precision", *found["axes"]}
    other = [word for word in words_of(found["command"]) if word.partition("=")[0] not in told]
    about["options"] = " ".join(word for word in other if "=" in word and word[:6] != "hydra.")
    ended = {"status": status, "reason": reason}
    return {"job": found["number"], **about, **ended, **found["axes"], **metrics}


def _as_csv(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO(newline="")
    table = csv.DictWriter(stream, columns)
    table.writeheader()
    table.writerows(rows)
    return stream.getvalue()
