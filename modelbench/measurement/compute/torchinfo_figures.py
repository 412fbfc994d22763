"""What torchinfo says of a model, and where its mult-adds part from the exact MACs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torchinfo
from torch import nn

from modelbench.measurement.compute.flops import Macs
from modelbench.measurement.compute.layers import Layer

if TYPE_CHECKING:
    from modelbench.inputs.batch import Batch

# Known causes, by the start of the class name. Checked on torchinfo 1.8.0.
CAUSES = {
    "ConvTranspose": "it counts a transposed convolution by its output area",
    "Linear": "it ignores the token dimension",
    "Conv1D": "a transformers linear layer, whose features it takes for positions",
    "Conv": "it also counts the bias",
    "functional": "it does not see operations outside layers, such as attention",
}


@dataclass(frozen=True)
class Figures:
    """torchinfo's totals; megabytes are 10**6 bytes."""

    mult_adds: int
    forward_backward_mb: float
    params_mb: float
    by_class: Counter[str]
    table: str


def torchinfo_figures(model: nn.Module, batch: Batch) -> Figures:
    """Run torchinfo's summary. Its figures are torchinfo's own; ours stand beside them."""
    summary = torchinfo.summary(
        model,
        input_data=list(batch.args) or dict(batch.kwargs),
        verbose=0,
        depth=64,
        **(dict(batch.kwargs) if batch.args else {}),
    )
    by_class: Counter[str] = Counter()
    for layer in summary.summary_list:
        if layer.is_leaf_layer:
            by_class[layer.class_name] += layer.macs
    # Not its size of the input, in which there is that of a dictionary's own object.
    outputs, params = map(
        summary.to_megabytes, (summary.total_output_bytes, summary.total_param_bytes)
    )
    return Figures(summary.total_mult_adds, outputs, params, by_class, str(summary))


def difference(figures: Figures, macs: Macs, layers: list[Layer]) -> str:
    """Return in one line how torchinfo's mult-adds differ from the exact MACs, and why."""
    exact: Counter[str] = Counter()
    for layer in layers:
        if layer.leaf:
            exact[layer.kind] += macs.by_module.get(layer.path, 0)
    exact["functional"] = macs.total - exact.total()
    kinds = sorted(exact.keys() | figures.by_class.keys())
    gaps = {kind: figures.by_class[kind] - exact[kind] for kind in kinds}
    matter = [
        k for k in sorted(gaps, key=lambda k: -abs(gaps[k])) if abs(gaps[k]) > macs.total / 100
    ]
    start = f"torchinfo counts {figures.mult_adds / 1e9:.5g} G, exact {macs.total / 1e9:.5g} G"
    if not matter:
        return f"{start}: no layer type differs by over 1%"
    return f"{start}: " + "; ".join(_reason(kind, gaps[kind]) for kind in matter)


def _reason(kind: str, gap: int) -> str:
    cause = next((text for start, text in CAUSES.items() if kind.startswith(start)), None)
    return f"{kind} {gap / 1e9:+.3g} G" + (f" ({cause})" if cause else "")
