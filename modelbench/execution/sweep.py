"""A sweep seen as a whole: a parent run, and at its end one row for every job."""

from __future__ import annotations

import csv
import json
import logging
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.utils import instantiate
from omegaconf import DictConfig

from modelbench.execution.rerun import command_line
from modelbench.results import JobStatus
from modelbench.results.json_file import write_json
from modelbench.sinks.console import shortened, terminal
from modelbench.sinks.page import REPORT
from modelbench.sinks.tables import sweep_table
from modelbench.system.signals import held_back

log = logging.getLogger(__name__)


class Sweep(Callback):
    """Opened by Hydra, which also carries it to the processes of other launchers."""

    current: ClassVar[Sweep | None] = None
    """The sweep that this process launches, or whose job it runs."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.parent_run_id: str | None = None
        self._directory = Path()
        self._tracker: Any = None
        self._command = ""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Open the parent run."""
        self._directory = Path(config.hydra.sweep.dir).absolute()
        self._directory.mkdir(parents=True, exist_ok=True)
        self.id = f"{self._directory.name}-{uuid.uuid4().hex[:8]}"
        Sweep.current = self
        self._command = command_line(config.hydra, "--multirun")
        if config.tracker._target_:
            self._tracker = instantiate(config.tracker)
            varied = [entry.partition("=") for entry in config.hydra.overrides.task]
            params = {key.lstrip("+"): value for key, _, value in varied}
            self.parent_run_id = self._tracker.open_sweep(self.id, self._directory, params)

    def on_job_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ARG002
        """Let the job know its sweep, in whichever process it runs."""
        if self.id:
            Sweep.current = self

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:  # noqa: ARG002
        """Let go of the job's configurations, which Hydra would keep until the sweep ends."""
        job_return.cfg = job_return.hydra_cfg = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open tracker behind: it belongs to the process that launches."""
        return {**self.__dict__, "_tracker": None}

    def finish(self, killed: str | None) -> JobStatus:
        """Write and print the summary, end the parent run, and tell how the sweep ended."""
        rows = self._rows()
        counts = Counter(row["status"] for row in rows)
        status: JobStatus = "failed" if counts["passed"] < len(rows) else "passed"
        if killed or not rows:
            status = "killed" if killed else "failed"
        with held_back():
            content = {"id": self.id, "status": status, "jobs": rows}
            write_json(self._directory / "sweep.json", content)
            _write_csv(self._directory / "sweep.csv", rows)
            files = ["sweep.csv", "sweep.json", *self._report(content)]
            if self._tracker is not None:
                tallies = {"jobs": len(rows), **{key: counts[key] for key in ("passed", "failed")}}
                fastest = next((key for row in rows for key in row if key.endswith("/p50_ms")), "")
                self._tracker.close_sweep(status, tallies, files, fastest)
        out = terminal()
        out.print()
        out.print(sweep_table(rows))
        where = shortened(self._directory)
        out.print(f"\nThe sweep's files are in {where}", soft_wrap=True, markup=False)
        if (self._directory / REPORT).is_file():
            out.print(f"Report: {where / REPORT}", soft_wrap=True, markup=False)
        if self._tracker is not None and (hint := self._tracker.hint()):
            out.print(hint, soft_wrap=True, markup=False)
        return status

    def _report(self, content: dict[str, Any]) -> list[str]:
        """Write the page of the sweep and give its files; what goes wrong loses nothing."""
        from modelbench.sinks.report.sweep import sweep_page

        try:
            page, plots = sweep_page(content, self._command, self._directory)
            (self._directory / REPORT).write_text(page, encoding="utf-8")
        except Exception as error:  # the results are on disk
            log.exception("%s could not be written", REPORT)
            terminal(errors=True).print(f"{REPORT} could not be written: {error}", markup=False)
            return []
        return [REPORT, *plots]

    def _rows(self) -> list[dict[str, Any]]:
        """Return a row for each job of this sweep, from what it left on disk."""
        found = [
            json.loads(file.read_text(encoding="utf-8"))
            for file in self._directory.rglob("results.json")
        ]
        mine = [document for document in found if document["sweep_id"] == self.id]
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
    ended = {"status": status, "reason": reason}
    return {"job": found["number"], **about, **ended, **found["axes"], **metrics}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(rows)
