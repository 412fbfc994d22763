"""How well a model does on labelled data, and what a change of precision costs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, exp, sqrt
from operator import itemgetter
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor
from torch.nn.functional import cross_entropy

from modelbench.inputs.batch import Batch
from modelbench.losses import logits_of

Verdict = Literal["within", "beyond", "too few samples"]
NORMAL = 1.959964
"""Standard deviations of 95%."""
TOP = 5


@dataclass(frozen=True)
class Outcomes:
    """What came of each sample, in order."""

    labels: np.ndarray[Any, Any] | None
    """Classes; None for a text, whose tokens are predicted."""
    right: np.ndarray[Any, Any]
    """Whether the likeliest class was right."""
    in_top: np.ndarray[Any, Any]
    """Whether it was among the likeliest five."""
    losses: np.ndarray[Any, Any]
    """Of a text: each sequence's mean loss over its tokens, in nats."""
    classes: int
    waited_s: float
    """Seconds that reading the data took."""
    computed_s: float

    @property
    def count(self) -> int:
        """Samples."""
        return max(len(self.right), len(self.losses))

    @property
    def accuracy(self) -> float:
        """Share of samples whose likeliest class was right."""
        return float(self.right.mean())

    @property
    def top5(self) -> float:
        """Share whose class was among the likeliest five."""
        return float(self.in_top.mean())

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss of a token."""
        return exp(float(self.losses.mean()))

    def of_classes(self) -> dict[int, float]:
        """Return the accuracy by class."""
        assert self.labels is not None
        return {int(c): float(self.right[self.labels == c].mean()) for c in np.unique(self.labels)}


def outcomes(
    call: Callable[[Batch], Any], batches: Iterable[Batch], tokens: str | None
) -> Outcomes:
    """Call the model with each batch; `tokens` names the argument whose tokens are predicted.

    Raises ValueError where there are fewer outputs than classes.
    """
    right, top, labels, losses = [], [], [], []
    waited = computed = 0.0
    classes, last = 0, perf_counter()
    with torch.inference_mode():
        for batch in batches:
            start = perf_counter()
            waited += start - last
            logits = logits_of(call(batch)).float()
            if batch.labels is None:
                losses.append(_losses(logits, batch.named()[str(tokens)]).cpu())
            else:
                logits = logits.mean(1) if logits.ndim == 3 else logits
                classes = logits.shape[-1]
                _fitting(batch.labels, classes)
                best = logits.topk(min(TOP, classes)).indices == batch.labels[:, None]
                right.append(best[:, 0].cpu())
                top.append(best.any(1).cpu())
                labels.append(batch.labels.cpu())
            last = perf_counter()
            computed += last - start
    if not (right or losses):
        raise ValueError("data: there is not a single sample to test on")
    return Outcomes(
        torch.cat(labels).numpy() if labels else None, _joined(right, bool), _joined(top, bool),
        _joined(losses, float), classes, waited, computed,
    )  # fmt: skip


def _fitting(labels: Tensor, classes: int) -> None:
    if int(labels.max()) >= classes:
        raise ValueError(
            f"data: the labels have class {int(labels.max())} (from 0), but the model has "
            f"{classes} outputs; name the classes in their order by data.classes"
        )


def _losses(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean loss of each sequence's tokens, given those before them."""
    logits = logits[:, -wanted.shape[1] : -1]
    each = cross_entropy(logits.flatten(0, 1), wanted[:, 1:].flatten(), reduction="none")
    return each.reshape(len(wanted), -1).mean(1)


def _joined(parts: list[Tensor], kind: type) -> np.ndarray[Any, Any]:
    return torch.cat(parts).numpy() if parts else np.empty(0, kind)


@dataclass(frozen=True)
class Drop:
    """How much is lost from one to the other, of the same samples."""

    value: float
    """Of accuracy, 0..1; of perplexity, relative."""
    interval: tuple[float, float]
    """95%."""
    count: int
    """Samples."""

    def verdict(self, most: float) -> Verdict:
        """Return whether no more than `most` is lost, as far as the interval tells."""
        low, high = self.interval
        if high <= most:
            return "within"
        return "beyond" if low > most else "too few samples"

    def needed(self, most: float) -> int | None:
        """Return how many samples it may take to tell; None where the loss is the bound itself."""
        distance = abs(most - self.value)
        reach = (self.interval[1] - self.interval[0]) / 2
        return ceil(self.count * (reach / distance) ** 2) if distance > reach / 100 else None


def drop(before: Outcomes, after: Outcomes) -> Drop:
    """Return what is lost, with its paired interval."""
    if before.labels is not None:
        return of_accuracy(before.right, after.right)
    return of_perplexity(before.losses, after.losses)


def of_accuracy(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> Drop:
    """Return the difference of paired proportions: Bonett and Price 2012's adjusted Wald."""
    count = len(before)
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    first, second = (lost + 1) / (count + 2), (won + 1) / (count + 2)
    middle = first - second
    reach = NORMAL * sqrt((first + second - middle**2) / (count + 2))
    low, high = max(-1.0, middle - reach), min(1.0, middle + reach)
    return Drop((lost - won) / count, (low, high), count)


def of_perplexity(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> Drop:
    """Return by what share perplexity rises, from the differences of each sequence's loss."""
    differences = after - before
    count, mean = len(differences), float(differences.mean())
    if count < 2:
        return Drop(exp(mean) - 1, (-1.0, float("inf")), count)
    reach = float(stdtrit(count - 1, 0.975) * differences.std(ddof=1) / sqrt(count))
    return Drop(exp(mean) - 1, (exp(mean - reach) - 1, exp(mean + reach) - 1), count)


def worst_class(before: Outcomes, after: Outcomes) -> tuple[int, float]:
    """Return the class that loses most, and by how much."""
    first, second = before.of_classes(), after.of_classes()
    losses: Mapping[int, float] = {each: first[each] - second[each] for each in first}
    worst = max(losses, key=losses.__getitem__)
    return worst, losses[worst]


def in_parts(call: Callable[[Batch], Any], size: int, batch: Batch) -> Any:
    """Call a model that takes one batch size; what is missing in the last part is repeated."""
    count = len(next(iter(batch.named().values())))
    found = []
    for start in range(0, count, size):
        places = torch.arange(start, start + size).clamp(max=count - 1)
        found.append(logits_of(call(batch.map(itemgetter(places))))[: count - start])
    return torch.cat(found)
