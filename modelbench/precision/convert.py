"""A workload in the precision that its configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate

from modelbench.precision.cast import Cast
from modelbench.precision.compiling import compile_in_place
from modelbench.precision.scheme import Scheme

if TYPE_CHECKING:
    from modelbench.models.workload import Workload
    from modelbench.precision.converted import ConvertedModel


def scheme_of(node: Mapping[str, Any] | None) -> Scheme:
    """Return the scheme that a precision's YAML describes; single precision for None."""
    scheme: Scheme = Cast() if node is None else instantiate(node, _convert_="all")
    return scheme


def convert(workload: Workload) -> ConvertedModel:
    """Build the model and bring it into its precision, compiled where its scheme compiles.

    Raises Skip where the scheme cannot do that.
    """
    converted = scheme_of(workload.scheme).convert(workload, phases=True)
    if converted.compiles:
        compile_in_place(converted.model)
    return converted


def training_dtype(workload: Workload) -> torch.dtype:
    """Return the type that training computes in; raises Skip for a precision of inference."""
    return scheme_of(workload.scheme).autocast()
