"""What `modelbench.measure` gives back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelbench.results.reading import FILE, read_results

if TYPE_CHECKING:
    from pandas import DataFrame

    from modelbench.execution.api.comparison import ResultsComparison


@dataclass(frozen=True)
class StageResult:
    """How one stage ended."""

    name: str
    status: str
    """`passed`, `failed` or `skipped`."""
    reason: str | None
    metrics: Mapping[str, float]
    """By their full names."""
    details: Mapping[str, Any]
    warnings: list[str]


class Results(Mapping[str, float]):
    """The metrics of one measurement by name, and all else that `results.json` holds."""

    def __init__(self, document: Mapping[str, Any], folder: Path) -> None:
        self._document, self.folder = document, folder
        self._metrics = {
            name: metric
            for stage in document["stages"].values()
            for name, metric in stage["metrics"].items()
        }

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Read a job's folder; raises UnreadableError, a ValueError."""
        return cls(read_results(folder / FILE), folder)

    def __getitem__(self, name: str) -> float:
        """Return a metric's value; raises KeyError with the names that are near."""
        if name not in self._metrics:
            near = get_close_matches(name, self._metrics, n=3)
            ended = [f"{s.name} {s.status}: {s.reason}" for s in self.stages.values() if s.reason]
            hints = [f"did you mean {', '.join(near)}?"] if near else []
            raise KeyError("; ".join([f"no metric {name}", *hints, *ended]))
        value: float = self._metrics[name]["value"]
        return value

    def __iter__(self) -> Iterator[str]:
        """Yield the metrics' names."""
        return iter(self._metrics)

    def __len__(self) -> int:
        """Count the metrics."""
        return len(self._metrics)

    @property
    def status(self) -> str:
        """`passed`, or `failed` where a stage failed."""
        return str(self._document["status"])

    @property
    def reason(self) -> str | None:
        """Why there are no stages, or why stages failed; None where they passed."""
        own = self._document["reason"]
        found = [f"{s.name}: {s.reason}" for s in self.stages.values() if s.status == "failed"]
        return own or "; ".join(found) or None

    @property
    def command(self) -> str:
        """The command line that repeats it, as long as the files in its folder stand."""
        return str(self._document["command"])

    @property
    def stages(self) -> dict[str, StageResult]:
        """The stages by name, in their order."""
        return {
            name: StageResult(
                name, stage["status"], stage["reason"],
                {key: metric["value"] for key, metric in stage["metrics"].items()},
                stage["details"], list(stage["warnings"]),
            )
            for name, stage in self._document["stages"].items()
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `results.json`."""
        found: dict[str, Any] = json.loads(json.dumps(self._document))
        return found

    def to_pandas(self) -> DataFrame:
        """Return one row a metric: `value`, `unit` and `stage` by name."""
        from pandas import DataFrame

        rows = [
            {"metric": name, **metric, "stage": name.partition("/")[0]}
            for name, metric in self._metrics.items()
        ]
        return DataFrame(rows, columns=["metric", "value", "unit", "stage"]).set_index("metric")

    @property
    def profile(self) -> DataFrame:
        """Return one row a layer of each profiled phase, slowest first, with the phase's name.

        Raises KeyError where the stage `profile` was not among those asked for, or has no layers.
        """
        from pandas import DataFrame

        stage = self.stages.get("profile")
        phases = {} if stage is None else stage.details
        rows = [
            {"phase": phase, **row}
            for phase, found in phases.items()
            if isinstance(found, Mapping) and "blocks" in found
            for row in found.get("layers", [])
        ]
        if not rows:
            why = stage.reason if stage else "ask for it, with test='profile'"
            raise KeyError(f"no layers were profiled: {why or 'the phases have none'}")
        return DataFrame(rows)

    def compare(
        self, other: Results, *, threshold: str | float = "2%", across_machines: bool = False
    ) -> ResultsComparison:
        """Hold another measurement against this one, the baseline.

        Raises ValueError for one that is not comparable (other machine or settings), unless
        `across_machines` is set, and for one without a metric in common.
        """
        from modelbench.config.share import share
        from modelbench.execution.api.comparison import ResultsComparison
        from modelbench.measurement.comparison.comparison import compare

        limit = share(threshold, "threshold")
        documents = [self._document], [other._document]
        found = compare(*documents, threshold=limit, across=across_machines)
        return ResultsComparison(found, str(self.folder), str(other.folder))

    def save(self, folder: str | Path) -> Path:
        """Copy all files, with the report, into a folder that does not exist yet; return it."""
        return Path(shutil.copytree(self.folder, folder))

    def __repr__(self) -> str:
        """Return how it ended, stage by stage."""
        lines = [f"{self._document['name']}: {self.status}"]
        for stage in self.stages.values():
            why = f": {stage.reason}" if stage.reason else f", {len(stage.metrics)} metrics"
            lines.append(f"  {stage.name} {stage.status}{why}")
        return "\n".join([*lines, f"  files: {self.folder}"])

    def _repr_html_(self) -> str:
        from modelbench.sinks.report.html import job_fragment

        return job_fragment(self._document, self.folder)
