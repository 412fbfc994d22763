"""`report.html` in the job's folder, written when the job ends."""

from __future__ import annotations

import logging

from modelbench.results import Job, Result, Summary, document
from modelbench.results.json_file import write_text

log = logging.getLogger(__name__)

REPORT = "report.html"


class Page:
    """Writes the page. What goes wrong is a warning: the results are on disk."""

    def __init__(self) -> None:
        self.written = False

    def open(self, job: Job) -> None:
        """Remember the job."""
        self._job = job

    def progress(self, stage: str, text: str) -> None:
        """Do nothing: progress is for people who wait."""

    def keep(self, result: Result) -> None:
        """Do nothing: what is recorded is complete."""

    def record(self, result: Result) -> None:
        """Do nothing: the page is written once."""

    def close(self, summary: Summary) -> None:
        """Write it."""
        from modelbench.sinks.report.html import job_page

        folder = self._job.directory
        try:
            page = job_page(document(self._job, summary), folder)
            write_text(folder / REPORT, page)
        except Exception:  # a page that cannot be made shall lose no run
            log.exception("%s could not be written", REPORT)
        else:
            self.written = True
