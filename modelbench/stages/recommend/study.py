"""The order of the search: successive halving, and Optuna for what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from modelbench.results import Skip
from modelbench.runtimes.variant import Variant

INSTALL = 'Optuna is not installed; pip install -e ".[search]"'


class Study:
    """First each runtime in each precision, then the neighbours that Optuna's sampler asks for.

    A candidate that is worse than half of those before it after as many samples is given up
    (Optuna's SuccessiveHalvingPruner); with `exhaustive`, none is, and all are tried.
    """

    def __init__(
        self, every: Sequence[Variant], first: Sequence[Variant], seed: int, *, exhaustive: bool
    ) -> None:
        """Make Optuna's study; raises Skip where it is not installed."""
        try:
            import optuna
        except ImportError as error:
            raise Skip(INSTALL) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._every = {variant.label: variant for variant in every}
        self._first = [variant.label for variant in first]
        self._exhaustive = exhaustive
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=len(self._first)),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        )
        self._trials: dict[str, Any] = {}
        self._told: set[str] = set()

    def candidates(self) -> Iterator[Variant]:
        """Yield what is to be tried next, each once."""
        for label in self._first:
            yield self._ask(label)
        if self._exhaustive:
            for label in self._every:
                if label not in self._trials:
                    yield self._ask(label)
            return
        misses = 0
        while len(self._trials) < len(self._every) and misses < 10 * len(self._every):
            trial = self._study.ask(self._space())
            near = self._nearest(trial.params)
            if near is None or near in self._trials:
                # What has been tried, or is no way to run a model, is as bad as the worst.
                self._study.tell(trial, state=self._failed())
                misses += 1
                continue
            self._trials[near] = trial
            yield self._every[near]

    def _ask(self, label: str) -> Variant:
        variant = self._every[label]
        self._study.enqueue_trial(_params(variant))
        self._trials[label] = self._study.ask(self._space())
        return variant

    def hopeless(self, variant: Variant, rung: int, found: float) -> bool:
        """Report a candidate's score after a rung; return whether it is given up."""
        trial = self._trials[variant.label]
        trial.report(found, rung + 1)
        return not self._exhaustive and bool(trial.should_prune())

    def tell(self, variant: Variant, found: float) -> None:
        """Report a candidate's last score; infinity of one that could not be tried."""
        if found == float("inf"):
            self._study.tell(self._trials[variant.label], state=self._failed())
        else:
            self._study.tell(self._trials[variant.label], found)

    def _failed(self) -> Any:
        from optuna.trial import TrialState

        return TrialState.FAIL

    def _space(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        names: dict[str, list[Any]] = {}
        for variant in self._every.values():
            for key, value in _params(variant).items():
                if value not in names.setdefault(key, []):
                    names[key].append(value)
        return {key: CategoricalDistribution(values) for key, values in names.items()}

    def _nearest(self, params: dict[str, Any]) -> str | None:
        return next((n for n, v in self._every.items() if _params(v) == params), None)


def _params(variant: Variant) -> dict[str, Any]:
    return {
        "runtime": variant.runtime, "precision": variant.precision,
        "threads": variant.threads or 0, "channels_last": variant.channels_last,
        "batch_size": variant.batch_size or 0,
    }  # fmt: skip
