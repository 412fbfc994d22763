"""What `results.compare(other)` gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelbench.measurement.comparison.comparison import Comparison
from modelbench.sinks.comparison import text

if TYPE_CHECKING:
    from pandas import DataFrame

    from modelbench.measurement.comparison.effect import Effect


@dataclass(frozen=True)
class ResultsComparison:
    """A measurement against a baseline: the effects, with their verdicts."""

    found: Comparison = field(repr=False)
    baseline: str
    candidate: str

    @property
    def effects(self) -> Sequence[Effect]:
        """The worst first, then the greatest."""
        return self.found.effects

    @property
    def regressions(self) -> list[str]:
        """What got slower or worse, or works no more."""
        return self.found.regressions

    @property
    def status(self) -> int:
        """The exit status of the command line: 0 no regression, 1 a regression, 3 ambiguous."""
        return self.found.status

    def to_pandas(self) -> DataFrame:
        """Return a row a metric: both values, the ratio, its interval and the verdict, by name."""
        from pandas import DataFrame

        effects = text.plain(self.found)["effects"]
        return DataFrame(effects, columns=list(text.COLUMNS)).set_index("metric")

    def save(self, file: str | Path) -> Path:
        """Write the page, with the samples of both laid over each other; return its path."""
        from modelbench.sinks.comparison.page import page

        Path(file).write_text(page(self.found, self.baseline, self.candidate), encoding="utf-8")
        return Path(file)

    def __repr__(self) -> str:
        """Return it as the command line prints it."""
        from modelbench.sinks.console import written_out

        return written_out(text.table(self.found))

    def _repr_html_(self) -> str:
        from modelbench.sinks.comparison.page import fragment

        return fragment(self.found, self.baseline, self.candidate)
