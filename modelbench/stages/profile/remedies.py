"""What would make a layer faster, tried on its own input, interleaved with the layer as it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from modelbench.measurement.profiling.captured import Captured
from modelbench.measurement.timing.pairing import Pairs, Ratio, compare
from modelbench.precision.compiling import no_compiler
from modelbench.results.attempts import in_one_line
from modelbench.stages.profile.causes import vector_width
from modelbench.system.cgroup import usable_cores

log = logging.getLogger(__name__)

PAIRS = Pairs(budget_s=0.5, min_blocks=8, max_blocks=60, warmup_s=0.05)
LARGEST = 2**29
"""Bytes of weights of what is copied to try something on it."""


@dataclass(frozen=True)
class Trial:
    """What came of a remedy."""

    words: str
    """What was done."""
    speedup: float | None = None
    interval: tuple[float, float] | None = None
    failed: str | None = None

    @property
    def helps(self) -> bool:
        """Whether it is faster by 2% or more for sure."""
        return self.interval is not None and self.interval[0] > 1.02

    @property
    def told(self) -> str:
        """Return a sentence's end."""
        if self.failed:
            return f"{self.words}: {self.failed}"
        if self.speedup is None:
            return self.words
        if self.interval is None:
            return f"{self.words}: {self.speedup:.3g} times as fast, in too few tries to be sure"
        low, high = self.interval
        times = f"{self.speedup:.3g} times as fast ({low:.3g} to {high:.3g})"
        return f"{self.words}: {times}" if self.helps else f"{self.words} does not help: {times}"


class _Set:
    """A call before which something is set, and after the last one set back; not timed."""

    def __init__(self, call: Callable[[], Any], before: Callable[[], Any]) -> None:
        self._call, self._before = call, before

    def rewind(self) -> None:
        self._before()
        self._call()  # threads start, and caches fill

    def __call__(self) -> Any:
        return self._call()


@dataclass(frozen=True)
class Remedy:
    """Something to try."""

    words: str
    better: Callable[[Captured], Captured | None]
    """The layer with it; None where that cannot be made."""
    before: tuple[Callable[[], Any], Callable[[], Any]] | None = None
    """What to set before a call with it, and before one without."""
    gain: float = 1.0
    """How much more the changed call computes."""


def try_remedy(name: str, captured: Captured, device: torch.device) -> Trial:
    """Try what a name of REMEDIES stands for; other words are given back as they are."""
    remedy = REMEDIES.get(name)
    if remedy is None:
        return Trial(name)
    threads = torch.get_num_threads()
    if captured.bytes > LARGEST:
        return Trial(remedy.words, failed="not tried, its weights are too large to copy")
    try:
        with torch.inference_mode():
            better = remedy.better(captured)
        if better is None:
            return Trial(remedy.words, failed="not tried, it cannot be changed so")
        first: Callable[[], Any] = captured
        second: Callable[[], Any] = better
        if remedy.before is not None:
            on, off = remedy.before
            first, second = _Set(captured, off), _Set(better, on)
        found = compare(first, second, PAIRS, device).ratio
    except Exception as error:  # a layer's code may raise anything at what it was not made for
        log.info("%s", remedy.words, exc_info=True)
        return Trial(remedy.words, failed=f"cannot be tried, {in_one_line(error)}")
    finally:
        if remedy.before is not None:
            remedy.before[1]()
            torch.set_num_threads(threads)
    return _trial(remedy, found)


def untried(name: str) -> Trial:
    """Return what stands for a remedy that there was no time for."""
    remedy = REMEDIES.get(name)
    return (
        Trial(name) if remedy is None else Trial(remedy.words, failed="not tried, for want of time")
    )


def _trial(remedy: Remedy, found: Ratio) -> Trial:
    ends = found.interval and (remedy.gain / found.interval[1], remedy.gain / found.interval[0])
    return Trial(remedy.words, remedy.gain / found.median, ends)


def try_compiling(captured: Captured, device: torch.device) -> Trial:
    """Try the module compiled; takes some seconds."""
    words = "compiled"
    why_not = no_compiler(device.type)
    if why_not:
        return Trial(words, failed=f"not tried, {why_not}")
    if captured.bytes > LARGEST or not captured.repeatable:
        why = "its weights are too large" if captured.repeatable else "its arguments change"
        return Trial(words, failed=f"not tried, {why}")
    try:
        made = captured.changed(lambda module: module.compile())
        with torch.inference_mode():
            made()
        found = compare(captured, made, PAIRS, device).ratio
    except Exception as error:  # compilers raise all kinds
        log.info("compiling a block", exc_info=True)
        return Trial(words, failed=f"cannot be compiled, {in_one_line(error)}")
    return _trial(Remedy(words, lambda same: same), found)


def _float32(captured: Captured) -> Captured:
    def single(tensor: Tensor) -> Tensor:
        return tensor.float() if tensor.is_floating_point() else tensor

    return captured.changed(lambda module: module.float()).given(single)


def _channels_last(captured: Captured) -> Captured:
    def laid_out(tensor: Tensor) -> Tensor:
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def images(module: Any) -> Any:
        return module.to(memory_format=torch.channels_last)

    return captured.changed(images).given(laid_out)


def _weights_in_order(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()


def _doubled(captured: Captured) -> Captured | None:
    if not captured.repeatable or not all(t.dim() for t in captured.tensors):
        return None
    return captured.given(lambda tensor: torch.cat([tensor, tensor]))


def _padded(captured: Captured) -> Captured | None:
    """Return the layer with all its sizes made multiples of the vectors' width."""
    module, width = captured.module, vector_width()

    def up(size: int) -> int:
        return -(-size // width) * width

    if type(module) is nn.Linear:
        sizes = up(module.in_features), up(module.out_features)
        made: nn.Module = nn.Linear(*sizes, bias=module.bias is not None)
        more = sizes[0] - module.in_features
        return captured.changed(lambda _: _like(made, module)).given(lambda t: pad(t, (0, more)))
    if type(module) is nn.Conv2d and module.groups == 1:
        # An image's three channels stay: kernels have a way of their own for the first layer.
        inside = up(module.in_channels) if module.in_channels > width else module.in_channels
        options: dict[str, Any] = {
            "stride": module.stride, "padding": module.padding, "dilation": module.dilation,
            "bias": module.bias is not None, "padding_mode": module.padding_mode,
        }  # fmt: skip
        size: Any = module.kernel_size
        made = nn.Conv2d(inside, up(module.out_channels), size, **options)
        more = inside - module.in_channels
        return captured.changed(lambda _: _like(made, module)).given(
            lambda t: pad(t, (0, 0, 0, 0, 0, more))
        )
    return None


def _like(made: nn.Module, module: nn.Module) -> nn.Module:
    weight = next(module.parameters())
    return made.to(device=weight.device, dtype=weight.dtype).eval()


def _flush(on: bool) -> None:
    """Let denormal numbers count as zero or not, on one thread: others stay as they began."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(on)


def _same(captured: Captured) -> Captured:
    return captured


REMEDIES: Mapping[str, Remedy] = {
    "float32": Remedy("in float32", _float32),
    "flush_denormal": Remedy(
        "after torch.set_flush_denormal(True), both on one thread", _same,
        (partial(_flush, True), partial(_flush, False)),
    ),
    "contiguous_input": Remedy(
        "given contiguous input", lambda captured: captured.given(lambda t: t.contiguous())
    ),
    "contiguous_weights": Remedy(
        "with contiguous weights", lambda captured: captured.changed(_weights_in_order)
    ),
    "channels_last": Remedy("in channels_last", _channels_last),
    "double_batch": Remedy("with twice the batch, for each sample", _doubled, gain=2.0),
    "padded": Remedy("with sizes rounded up to whole vectors", _padded),
    "threads": Remedy(
        "on all cores", _same,
        (lambda: torch.set_num_threads(max(1, int(usable_cores()))),
         lambda: torch.set_num_threads(1)),
    ),
}  # fmt: skip
