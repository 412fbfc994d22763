"""Multiply-accumulates of a forward pass, counted operation by operation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

aten = torch.ops.aten

# By convention these cost no MACs: they move, choose, normalise or add up what others computed.
# Pointwise operations are known by their tag, views by their schema.
FREE = {
    aten._adaptive_avg_pool2d, aten._adaptive_avg_pool3d, aten._local_scalar_dense,
    aten._log_softmax, aten._native_batch_norm_legit, aten._native_batch_norm_legit_no_training,
    aten._safe_softmax, aten._softmax, aten._to_copy, aten._unsafe_index, aten._unsafe_view,
    aten.adaptive_max_pool2d, aten.all, aten.amax, aten.amin, aten.aminmax, aten.any, aten.arange,
    aten.argmax, aten.argmin,
    aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d, aten.bernoulli, aten.cat, aten.clone,
    aten.constant_pad_nd, aten.copy, aten.copy_, aten.count_nonzero, aten.cummax, aten.cummin,
    aten.cumprod, aten.cumsum, aten.embedding, aten.empty, aten.empty_like, aten.empty_strided,
    aten.fill, aten.fill_, aten.flip, aten.full, aten.full_like, aten.gather, aten.index,
    aten.index_put, aten.index_put_, aten.index_select, aten.lift_fresh, aten.linalg_vector_norm,
    aten.logsumexp, aten.masked_fill, aten.masked_fill_, aten.max, aten.max_pool2d_with_indices,
    aten.max_pool3d_with_indices, aten.mean, aten.median, aten.min, aten.native_batch_norm,
    aten.native_dropout, aten.native_group_norm, aten.native_layer_norm, aten.new_empty,
    aten.new_full, aten.new_ones, aten.new_zeros, aten.nonzero, aten.norm, aten.normal_, aten.ones,
    aten.ones_like, aten.pixel_shuffle, aten.prod, aten.rand, aten.rand_like, aten.randint,
    aten.randn, aten.randn_like, aten.reflection_pad2d, aten.repeat, aten.resize_, aten.roll,
    aten.scalar_tensor, aten.scatter, aten.scatter_, aten.sort, aten.split_with_sizes_copy,
    aten.stack, aten.std, aten.std_mean, aten.sum, aten.topk, aten.tril, aten.triu,
    aten.unsafe_chunk, aten.unsafe_split, aten.unsafe_split_with_sizes, aten.upsample_bicubic2d,
    aten.upsample_bilinear2d, aten.upsample_nearest1d, aten.upsample_nearest2d, aten.var,
    aten.var_mean, aten.zero_, aten.zeros, aten.zeros_like,
}  # fmt: skip

EMPTY = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten._local_scalar_dense}
GATHERS = {aten.embedding, aten.gather, aten.index, aten.index_select, aten._unsafe_index}


def _cpu_attention(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return flops


def _recurrent(inputs: torch.Size, weights: Sequence[torch.Size]) -> int:
    """Every step multiplies by every weight matrix; biases are vectors. `inputs` has 3 axes."""
    steps = inputs[0] * inputs[1]
    return 2 * steps * sum(math.prod(weight) for weight in weights if len(weight) == 2)


def _cpu_recurrent(inputs: torch.Size, *weights: torch.Size, **_: Any) -> int:
    return _recurrent(inputs, weights[:2])


def _cuda_recurrent(inputs: torch.Size, weights: Sequence[torch.Size], *_: Any, **__: Any) -> int:
    return _recurrent(inputs, weights)


# torch's own table lacks these fused operations, and would count them as nothing.
EXTRA: Mapping[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,
    aten.mkldnn_rnn_layer: _cpu_recurrent,
    aten._cudnn_rnn: _cuda_recurrent,
}


@dataclass(frozen=True)
class Macs:
    """What a call cost."""

    total: int
    by_module: Mapping[str, int]
    """Module path -> MACs of it and all below it; the root is ''."""
    uncounted: Mapping[str, int]
    """Operations without a formula that may multiply and accumulate -> how often they ran."""
    bytes: int
    """What the operations read and write, each for itself: nothing is taken to stay in a cache."""


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up bytes, and notes operations that neither have a formula nor are known to be free."""

    def __init__(self, known: set[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = known
        self.calls: dict[str, int] = defaultdict(int)
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        packet = func.overloadpacket
        if not (packet in self._known or packet in FREE or _is_free(func)):
            self.calls[str(packet)] += 1
        result = func(*args, **(kwargs or {}))
        self.bytes += _traffic(func, args, kwargs or {}, result)
        return result


def count_macs(model: nn.Module, call: Callable[[], Any]) -> Macs:
    """Count the MACs of `call`, which runs `model`; 1 MAC is 2 FLOPs.

    The formulas are those of `torch.utils.flop_counter` with the CPU's fused attention added.
    Biases, normalisations and pointwise operations are not MACs.
    """
    counter = FlopCounterMode(display=False, custom_mapping=dict(EXTRA))
    watch = _Watch(set(counter.flop_registry))
    # The counter takes operations apart first, so the other mode sees what really ran.
    with unfused(), watch, counter, torch.no_grad():
        call()
    root = type(model).__name__
    by_module = dict.fromkeys((path for path, _ in model.named_modules()), 0)
    by_module |= {
        "" if path == root else path.removeprefix(f"{root}."): sum(flops.values()) // 2
        for path, flops in counter.get_flop_counts().items()
        if path != "Global"
    }
    return Macs(counter.get_total_flops() // 2, by_module, dict(watch.calls), watch.bytes)


@contextmanager
def unfused() -> Iterator[None]:
    """Let no layer of nn.Transformer run as a single operation, which nobody can look into."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _traffic(func: Any, args: Any, kwargs: Any, result: Any) -> int:
    """Give the bytes that an operation reads and writes."""
    packet = func.overloadpacket
    if func.is_view or packet in EMPTY:
        return 0
    written = sum(map(_stored, tree_leaves(result)))
    if packet in GATHERS:  # of a whole table only what is looked up
        return 2 * written
    return written + sum(map(_stored, tree_leaves([args, kwargs])))


def _stored(value: Any) -> int:
    """Give the bytes behind a tensor; an expanded one has fewer than its shape says."""
    if not isinstance(value, torch.Tensor):
        return 0
    shape = zip(value.shape, value.stride(), strict=True)
    return math.prod(size for size, stride in shape if stride) * value.element_size()


def _is_free(func: Any) -> bool:
    pointwise = {torch.Tag.pointwise, torch.Tag.inplace_view} & set(func.tags)
    return bool(pointwise) or func.is_view or func.namespace == "prim"
