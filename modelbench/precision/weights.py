"""torchao's schemes that exchange the weights of a model's Linears, and of its embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from modelbench.precision.compiling import no_compiler
from modelbench.precision.converted import ConvertedModel, Coverage
from modelbench.precision.rewrite import rewrite
from modelbench.precision.scheme import Scheme
from modelbench.precision.stored import is_low, low_numel
from modelbench.results import Skip

if TYPE_CHECKING:
    from modelbench.models.workload import Workload


@dataclass(frozen=True)
class Weights(Scheme):
    """Quantizes with a configuration of torchao; Linears in disguise are made ones first."""

    config: Any = None
    """torchao's, for Linears."""
    embeddings: Any = None
    """torchao's, for embeddings; without it they stay."""
    computes: bool = True
    """Whether Linears multiply in low precision too, or only store their weights in it."""

    def convert(self, workload: Workload, *, phases: bool) -> ConvertedModel:  # noqa: ARG002
        """Quantize the model."""
        from torchao.quantization import quantize_

        self.refuse(workload.device)
        model = rewrite(workload.build())
        quantize_(model, self.config, filter_fn=lambda layer, _: type(layer) is nn.Linear)
        if self.embeddings is not None:
            embeds = lambda layer, _: type(layer) is nn.Embedding  # noqa: E731
            quantize_(model, self.embeddings, filter_fn=embeds)
        layers = dict(model.named_modules())
        low = {p for p, layer in layers.items() if (w := _weight(layer)) is not None and is_low(w)}
        if not low:
            owners = [layer for layer in layers.values() if _weight(layer) is not None]
            classes = sorted({type(layer).__name__ for layer in owners})
            raise Skip(f"it covers nothing; the model's layers are {', '.join(classes) or 'none'}")
        kept = tuple(
            f"{type(layer).__name__} {path}"
            for path, layer in layers.items()
            if path not in low and (weight := _weight(layer)) is not None and weight.ndim > 1
        )
        linears = [path for path in low if isinstance(layers[path], nn.Linear)]
        coverage = Coverage(
            low_numel(model.parameters()),
            sum(p.numel() for p in model.parameters()),  # a tied one once
            dict.fromkeys(linears, inf) if self.computes else {},
            kept,
        )
        why = no_compiler(workload.device.type) if self.compile else None
        notes = [f"runs uncompiled ({why})"] if why else []
        compiles = self.compile and not why
        return ConvertedModel(model, coverage, quantized=True, compiles=compiles, notes=notes)


def _weight(layer: nn.Module) -> torch.Tensor | None:
    own = dict(layer.named_parameters(recurse=False))
    weight = own.get("weight")  # an attribute may be computed anew in every call
    return weight if isinstance(weight, torch.Tensor) else None
