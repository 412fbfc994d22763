"""A part of a stage that may fail without costing the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelbench.results import Report, Skip, failures

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

log = logging.getLogger(__name__)


@contextmanager
def part(report: Report, name: str, workload: Workload) -> Iterator[None]:
    """Let what fails within fail the stage, by its name and reason, and lose no other figure."""
    try:
        yield
    except Skip:
        raise
    except (Exception, SystemExit) as error:  # a model's code may raise anything
        log.exception("%s failed", name)
        multiples = {axis: limit.get("multiple_of", 1) for axis, limit in workload.limits.items()}
        smaller = failures.smaller(workload.axes, multiples)
        report.fail(f"{name}: {failures.of_error(error, smaller)}")
