"""What each scheme costs on the user's own data: accuracy, or perplexity, of the same samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from modelbench.inputs.texts import Texts
from modelbench.losses import next_token
from modelbench.measurement.numerics.quality import Outcomes, drop, in_parts, outcomes, worst_class

if TYPE_CHECKING:
    from modelbench.inputs.batch import Batch
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel
    from modelbench.results import Report

BOTTLENECK = 0.5
"""Share of the time from which on reading the data is said to hold the model up."""


class Quality:
    """The model in single precision on data that training and calibration do not see."""

    def __init__(self, workload: Workload, model: nn.Module, most: float) -> None:
        """Test it; `most` is the drop that is allowed, 0..1."""
        self._workload, self._most = workload, most
        self._tokens = getattr(workload.data, "argument", None)
        self._check()
        self._before = self._tested(lambda batch: batch.call(model))
        self._names = list(getattr(workload.data, "names", []) if self._labelled else [])

    def _check(self) -> None:
        """Raise ValueError for a text and a model that does not predict the next token."""
        data: Any = self._workload.data
        causal = getattr(self._workload.measure, "func", None) is next_token
        if isinstance(data, Texts) and not data.labelled and not causal:
            raise ValueError(
                "data: the perplexity of a text is that of a model which predicts the next token "
                "(loss modelbench.losses.next_token); for a classifier, set data.file to a CSV of "
                "texts and labels"
            )

    @property
    def _labelled(self) -> bool:
        return self._before.labels is not None

    def add_baseline(self, report: Report) -> None:
        """Add how well single precision does, and whether the data keeps up with it."""
        found = self._before
        self._add(report, "fp32", found)
        report.metric("data/samples", found.count, "count")
        report.metric("data/read_per_s", found.count / max(found.waited_s, 1e-9), "1/s")
        report.metric("data/computed_per_s", found.count / max(found.computed_s, 1e-9), "1/s")
        whole = found.waited_s + found.computed_s
        if found.waited_s > BOTTLENECK * whole:
            report.notes.append(
                f"reading the data took {found.waited_s / whole:.0%} of the time of testing on it: "
                "the input is the bottleneck; raise data.workers"
            )

    def add(self, report: Report, name: str, converted: ConvertedModel) -> None:
        """Add how well a scheme does, and what that is less than before, with a verdict."""
        call = partial(_call, converted)
        if converted.fixed_sizes or converted.compiles:
            call = partial(in_parts, call, self._workload.axes.get("batch_size", 1))
        after = self._tested(call)
        self._add(report, name, after)
        lost = drop(self._before, after)
        what = "accuracy" if self._labelled else "perplexity"
        report.metric(f"{name}/{what}_drop", lost.value, "share")
        report.metric(f"{name}/{what}_drop_ci_low", lost.interval[0], "share")
        report.metric(f"{name}/{what}_drop_ci_high", lost.interval[1], "share")
        verdict = lost.verdict(self._most)
        told = {"verdict": verdict, "max_drop": self._most, "samples": lost.count}
        if self._labelled:
            worst, much = worst_class(self._before, after)
            report.metric(f"{name}/worst_class_drop", much, "share")
            told["worst_class"] = self._names[worst] if worst < len(self._names) else worst
        report.details[name]["quality"] = told
        worse = "lower" if self._labelled else "higher"
        low, high = lost.interval
        said = (
            f"{name}: {what} is {lost.value:.2%} {worse} than in fp32 (95% interval {low:.2%} to "
            f"{high:.2%}, {lost.count:,} samples)"
        )
        bound = f"the bound of {self._most:.2%} (test.quantization.max_drop)"
        if verdict == "within":
            report.notes.append(f"{said}: within {bound}")
        elif verdict == "beyond":
            report.warnings.append(f"{said}: beyond {bound}")
        else:
            needed = lost.needed(self._most)
            more = f"; about {needed:,} may tell" if needed else ""
            report.warnings.append(f"{said}: too few samples to tell whether within {bound}{more}")

    def _add(self, report: Report, name: str, found: Outcomes) -> None:
        if found.labels is None:
            report.metric(f"{name}/perplexity", found.perplexity, "perplexity")
            return
        report.metric(f"{name}/accuracy", found.accuracy, "share")
        if found.classes > 5:
            report.metric(f"{name}/top5_accuracy", found.top5, "share")

    def _tested(self, call: Callable[[Batch], Any]) -> Outcomes:
        return outcomes(call, self._workload.labelled(test=True), self._tokens)


def _call(converted: ConvertedModel, batch: Batch) -> Any:
    return converted.batch(batch).call(converted.model)
