"""What was found: plain data, the files that it is kept in, and why something could not be."""

from modelbench.results.job import SCHEMA, Job, JobStatus, Summary, document, verdict
from modelbench.results.report import Metric, Report, Skip
from modelbench.results.result import Partial, Result, Status

__all__ = [
    "SCHEMA",
    "Job",
    "JobStatus",
    "Metric",
    "Partial",
    "Report",
    "Result",
    "Skip",
    "Status",
    "Summary",
    "document",
    "verdict",
]
