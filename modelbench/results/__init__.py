"""What was found: plain data, the files that it is kept in, and why something could not be."""

from modelbench.results.records import (
    SCHEMA,
    Job,
    JobStatus,
    Metric,
    Partial,
    Report,
    Result,
    Skip,
    Status,
    Summary,
    document,
    verdict,
)

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
