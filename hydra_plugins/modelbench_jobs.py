"""The sweeper: Hydra's own, with a list of jobs, each with every combination of the command line.

Hydra takes plugins only from a package of this name. It runs this file before it is a module that
can be looked up, so the dataclass' annotations must not be strings.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override


@dataclass
class JobsConf:
    """The sweeper's keys in a YAML."""

    _target_: str = "hydra_plugins.modelbench_jobs.Jobs"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None
    jobs: list[list[str]] = field(default_factory=list)


ConfigStore.instance().store(group="hydra/sweeper", name="jobs", node=JobsConf)


class Jobs(BasicSweeper):
    """Hydra's own sweeper; each of `jobs` is a list of overrides, and the command line's win."""

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        jobs: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__(max_batch_size, params)
        self._jobs = jobs

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose nothing: every value has been checked before Hydra was started."""

    def split_arguments(  # type: ignore[override]  (Hydra calls it on the instance)
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Put each job's overrides together with each combination of `overrides`."""
        (combinations,) = BasicSweeper.split_arguments(overrides, None)
        jobs = with_jobs(self._jobs, combinations)
        if self.config is not None:
            jobs = ordered(jobs, self.config.order, self.config.seed)
        from modelbench.execution.sweep import Sweep  # here, since it imports this file

        if Sweep.current is not None:
            Sweep.current.expected = len(jobs)
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))


def with_jobs(
    jobs: Sequence[Sequence[str]], combinations: Sequence[Sequence[str]]
) -> list[list[str]]:
    """Return each job with each combination, less what the combination sets too.

    Without jobs these are the combinations alone.
    """
    whole: list[list[str]] = []
    for job in jobs or [[]]:
        for combination in combinations:
            given = {_key(override) for override in combination}
            whole.append([*(word for word in job if _key(word) not in given), *combination])
    return whole


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def ordered(jobs: Sequence[Sequence[str]], order: str, seed: int) -> list[list[str]]:
    """Return the jobs in the order in which they run: as listed, or shuffled by a seed."""
    found = [list(job) for job in jobs]
    if order == "random":
        random.Random(seed).shuffle(found)
    return found
