"""The scheme that fits a model, out of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from modelbench.measurement.compute.counting import count_phase
from modelbench.precision.scheme import Scheme
from modelbench.results import Skip

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel

ENOUGH = 0.9
"""Share of MACs with which a scheme is taken at once."""


@dataclass(frozen=True)
class Best(Scheme):
    """Takes the first that reaches 0.9 of the MACs, or else the one that reaches the most."""

    of: Mapping[str, Any] = field(default_factory=dict)
    """Name -> scheme, the preferred one first."""

    def convert(self, workload: Workload, *, phases: bool) -> ConvertedModel:
        """Try them in turn."""
        model, batch = workload.build(), workload.batch()
        macs = count_phase(lambda net, given: lambda: given.call(net), model, batch, quick=False)
        del model
        best: tuple[float, ConvertedModel] | None = None
        refused = []
        for name, node in self.of.items():
            try:
                converted = instantiate(node, _convert_="all").convert(workload, phases=phases)
            except Skip as skip:
                refused.append(f"{name}: {skip}")
                continue
            reached = converted.coverage.macs(macs.total, dict(macs.by_module)) if macs else 0.0
            if best is None or reached > best[0]:
                best = reached, replace(converted, chosen=name)
            if reached >= ENOUGH:
                break
        if best is None:
            raise Skip("; ".join(refused) or "no scheme is named")
        converted = best[1]
        converted.notes += [
            f"uses {converted.chosen} here",
            *(f"cannot use {why}" for why in refused),
        ]
        return converted
