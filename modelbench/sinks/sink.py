"""What every sink does."""

from __future__ import annotations

from typing import Protocol

from modelbench.results import Job, Result, Summary


class Sink(Protocol):
    """Takes a job's results as they come; each call returns when they are safe."""

    def open(self, job: Job) -> None:
        """Begin a job, before its first stage."""

    def progress(self, stage: str, text: str) -> None:
        """Show what a stage is doing; nothing any more, where `text` is empty."""

    def keep(self, result: Result) -> None:
        """Take a result that further processes will add to, should the job not live till then."""

    def record(self, result: Result) -> None:
        """Take the result of one stage."""

    def close(self, summary: Summary) -> None:
        """End the job."""
