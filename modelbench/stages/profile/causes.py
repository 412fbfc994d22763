"""Why a layer is slow, where that is shown by what it takes and what runs in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from modelbench.measurement.profiling.captured import Captured, dense
from modelbench.stages.profile.rows import Row

FAR = 0.3
"""Share of the machine's peak below which a layer is far from it."""
MOST = 0.5
"""Share of a layer's time that is most of it."""
SOME = 0.2
"""Share that is worth a sentence."""
FEW_ROWS = 8
COPIES = {"aten::copy_", "aten::clone", "aten::contiguous", "aten::_to_copy", "aten::to",
          "aten::cat"}  # fmt: skip


@dataclass(frozen=True)
class Cause:
    """One reason, and what it would take."""

    reason: str
    remedy: str
    """A key of `remedies.REMEDIES` where it can be tried, or words."""


@dataclass(frozen=True)
class Suspect:
    """A layer that takes much of the time, with those that are like it."""

    row: Row
    """The slowest of them."""
    paths: tuple[str, ...]
    share: float
    """Of the call, of all of them."""
    captured: Captured | None
    operators: dict[str, float] = field(default_factory=dict)
    """Shares of its own time."""
    waiting: float = 0.0
    """The share of its own time in which no operator ran."""
    bandwidth: float | None = None
    """Share of the machine's memory bandwidth that it reaches."""


def causes_of(suspect: Suspect) -> Iterator[Cause]:
    """Yield what is shown to make a layer slow, the plainest first."""
    row = suspect.row
    if suspect.waiting > MOST and row.own_ms > 0.5:
        yield Cause(
            f"no operator runs in {suspect.waiting:.0%} of its time: Python code, input or output, "
            "or waiting",
            "look at what its forward does besides torch's operators",
        )
    if suspect.captured is not None and row.leaf:
        yield from _of_tensors(suspect.captured)
    copying = sum(suspect.operators.get(name, 0.0) for name in COPIES)
    if copying > SOME:
        # To where it is already, `aten::to` does nothing; what converts copies.
        copies = suspect.operators.get("aten::copy_", 0.0)
        converts = "aten::_to_copy" in suspect.operators and copies > copying / 2
        what = "converting tensors to another type or device" if converts else "copying tensors"
        yield Cause(
            f"{copying:.0%} of its time goes into {what} "
            f"({', '.join(sorted(COPIES & suspect.operators.keys()))})",
            "give it tensors in the type and layout that it computes in",
        )
    if row.peak_share is not None and row.peak_share < FAR and suspect.captured is not None:
        yield from _of_shapes(suspect)


def _of_tensors(captured: Captured) -> Iterator[Cause]:
    """Yield what types, numbers and layouts of inputs and weights show."""
    inputs = [t for t in captured.tensors if t.is_floating_point() and dense(t)]
    weights = [p.detach() for p in captured.module.parameters()
               if p.is_floating_point() and dense(p)]  # fmt: skip
    if any(t.dtype is torch.float64 for t in [*inputs, *weights]):
        yield Cause("it computes in float64, half as fast as float32 or slower", "float32")
    for kind, tensors in (("input", inputs), ("weights", weights)):
        tiny = _denormal(tensors)
        if tiny > 0.01:
            yield Cause(
                f"{tiny:.0%} of its {kind} are denormal numbers, which CPUs compute with "
                "many times slower",
                "flush_denormal",
            )
            break
    if any(_scattered(t) for t in inputs):
        yield Cause("its input is not contiguous in memory", "contiguous_input")
    if any(_scattered(t) for t in weights):
        yield Cause("its weights are not contiguous in memory", "contiguous_weights")


def _denormal(tensors: Sequence[Tensor]) -> float:
    """Return the greatest share of denormal numbers in any of some tensors."""
    shares = [0.0]
    for tensor in tensors:
        # In half precision most CPUs compute in single, in which these are none.
        whole = tensor.dtype in {torch.float32, torch.float64}
        if whole and tensor.device.type == "cpu" and tensor.numel():
            size = tensor.abs()
            tiny = (size > 0) & (size < torch.finfo(tensor.dtype).tiny)
            shares.append(float(tiny.sum()) / tensor.numel())
    return max(shares)


def _scattered(tensor: Tensor) -> bool:
    """Return whether a tensor is laid out in none of the ways that kernels expect."""
    if tensor.numel() <= 1 or tensor.is_contiguous():
        return False
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    known = formats.get(tensor.dim())
    return known is None or not tensor.is_contiguous(memory_format=known)


def _of_shapes(suspect: Suspect) -> Iterator[Cause]:
    """Yield what sizes and the machine show of a layer that multiplies, far below the peak."""
    row, captured = suspect.row, suspect.captured
    assert captured is not None
    module, far = captured.module, f"it reaches {row.peak_share:.0%} of the machine's peak"
    rows = _rows(captured)
    if rows is not None and rows < FEW_ROWS:
        memory = f" and {suspect.bandwidth:.0%} of its bandwidth" if suspect.bandwidth else ""
        few = "one row" if rows == 1 else f"{rows} rows"
        yield Cause(
            f"{far}{memory}: all its weights are read for {few}, a small batch", "double_batch"
        )
    if isinstance(module, nn.Conv2d) and captured.tensors and _planar(captured.tensors[0]):
        yield Cause(f"{far}, with its input laid out plane by plane", "channels_last")
    uneven = [size for size in _widths(module) if size > vector_width() and size % vector_width()]
    if uneven and captured.tensors[:1] and captured.tensors[0].device.type == "cpu":
        yield Cause(
            f"{far}: {' and '.join(map(str, uneven))} is not a multiple of {vector_width()}, the "
            "width of this machine's vectors",
            "padded",
        )
    cores = _cores()
    if (
        torch.get_num_threads() == 1
        and cores > 1
        and captured.tensors[:1]
        and (captured.tensors[0].device.type == "cpu")
    ):
        yield Cause(f"{far}: one thread computes, of {cores} cores", "threads")


def _rows(captured: Captured) -> int | None:
    """Return how many rows a Linear multiplies."""
    if not isinstance(captured.module, nn.Linear) or not captured.tensors:
        return None
    given = captured.tensors[0]
    return given.numel() // given.shape[-1] if given.dim() else None


def _planar(tensor: Tensor) -> bool:
    return (
        tensor.dim() == 4
        and tensor.shape[1] > 1
        and tensor.is_contiguous()
        and (not tensor.is_contiguous(memory_format=torch.channels_last))
    )


def _widths(module: nn.Module) -> list[int]:
    """Return the sizes that a layer's kernels work through in vectors."""
    names = {nn.Linear: ("in_features", "out_features"), nn.Conv2d: ("in_channels", "out_channels")}
    found: Any = next((n for kind, n in names.items() if type(module) is kind), ())
    grouped = getattr(module, "groups", 1) > 1
    return [] if grouped else [getattr(module, name) for name in found]


def vector_width() -> int:
    """Return how many floats a vector of this CPU holds."""
    return 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8


def _cores() -> int:
    from modelbench.system.cgroup import usable_cores

    return int(usable_cores())
