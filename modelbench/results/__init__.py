"""What was found, as plain data and files, and why something failed."""

from modelbench.results.job import SCHEMA, Job, JobStatus, Summary, document, verdict
from modelbench.results.report import Further, Metric, Report, Skip, Table
from modelbench.results.result import Partial, Result, Status

__all__ = [
    "SCHEMA",
    "Further",
    "Job",
    "JobStatus",
    "Metric",
    "Partial",
    "Report",
    "Result",
    "Skip",
    "Status",
    "Summary",
    "Table",
    "document",
    "verdict",
]
