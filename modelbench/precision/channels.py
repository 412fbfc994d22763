"""Images laid out pixel by pixel, where a model takes them so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from modelbench.inputs.tensors import named_tensors
from modelbench.measurement.numerics.fidelity import all_finite, fidelity, floating
from modelbench.results.attempts import in_one_line

if TYPE_CHECKING:
    from modelbench.inputs.batch import Batch
    from modelbench.models.workload import Workload

LEAST_DB = 60.0
"""Ratio of signal to noise above which two layouts agree in single precision."""


def lay_out(model: nn.Module, workload: Workload) -> str | None:
    """Lay out the weights of a model in single precision, and see that it runs and agrees.

    Where it does not they are put back, and why is told. A `.view` after a convolution needs the
    channels first, for one.
    """
    four = [p for p in model.parameters() if p.ndim == 4]
    if not four:
        return None
    if workload.fake:  # no numbers to compare
        _lay(four, torch.channels_last)
        return None
    sizes = {"batch_size": 1} if workload.takes("batch_size", 1) else {}
    batch = workload.batch(**{axis: n for axis, n in sizes.items() if axis in workload.axes})
    try:
        wanted = _call(model, batch)
    except Exception:  # in no layout: what runs it next meets it again, and tells
        return None
    _lay(four, torch.channels_last)
    try:
        why = _disagreement(wanted, _call(model, batch))
    except Exception as error:  # the model's code may raise anything
        why = in_one_line(error)
    if why:
        _lay(four, torch.contiguous_format)
        if _disagreement(wanted, _call(model, batch)):  # nor does it agree with itself
            _lay(four, torch.channels_last)
            return None
    return why


@torch.inference_mode()
def _call(model: nn.Module, batch: Batch) -> Any:
    return batch.call(model)


def _lay(weights: list[nn.Parameter], layout: torch.memory_format) -> None:
    for weight in weights:
        weight.data = weight.data.contiguous(memory_format=layout)


def _disagreement(wanted: Any, found: Any) -> str | None:
    pair = [{n: _shape(t) for n, t in named_tensors(each).items()} for each in (wanted, found)]
    if pair[0] != pair[1]:
        return "its outputs change shape with it"
    if not floating(wanted) or not all_finite(wanted):
        return None
    ratio = fidelity(wanted, found).sqnr_db
    if ratio is None or ratio >= LEAST_DB:
        return None
    return f"its output changes with it (SQNR {ratio:.0f} dB)"


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
