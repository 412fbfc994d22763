"""Formulas of products that `torch.utils.flop_counter` does not know, in FLOPs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

Shape = Sequence[int]
Formula = Callable[..., int]
"""Takes the shapes of an operation's arguments, and `out_shape`."""

COMPLEX = ("mm", "addmm", "bmm", "baddbmm")
"""Products that torch computes of complex numbers as well."""


def _product(first: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Every element that comes out is a sum over the last dimension of the first argument."""
    return 2 * math.prod(out_shape) * first[-1]


def _added_product(_: Any, first: Shape, *__: Any, out_shape: Shape, **___: Any) -> int:
    return 2 * math.prod(out_shape) * first[-1]


def _summed_product(_: Any, first: Shape, second: Shape, *__: Any, **___: Any) -> int:
    return 2 * math.prod(first) * second[-1]


def _outer(_: Any, first: Shape, second: Shape, *__: Any, **___: Any) -> int:
    return 2 * first[0] * second[0]


def _grouped(first: Shape, second: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Every row meets the matrix of its group alone: that of the expert which it was sent to."""
    if len(first) == len(second) == 2:  # the groups share the dimension that is summed over
        return 2 * math.prod(first) * second[-1]
    return 2 * math.prod(out_shape) * first[-1]


def _convolution(_: Any, weight: Shape, *__: Any, out_shape: Shape, **___: Any) -> int:
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _convolution_over_time(_: Any, weight: Shape, *__: Any, out_shape: Shape, **___: Any) -> int:
    return 2 * math.prod(out_shape) * math.prod(weight[:2])


def _triangular(matrix: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Half of the matrix, without the diagonal, by which is divided."""
    return math.prod(out_shape) * (matrix[-1] - 1)


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Two products for each head of the queries, which may share those of keys and values."""
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[-2] * (width + value[-1])


def _recurrent(inputs: Shape, weights: Sequence[Shape]) -> int:
    """Every step multiplies by every weight matrix; biases are vectors. `inputs` has 3 axes."""
    steps = inputs[0] * inputs[1]
    return 2 * steps * sum(math.prod(weight) for weight in weights if len(weight) == 2)


def _cpu_recurrent(inputs: Shape, *weights: Shape, **_: Any) -> int:
    return _recurrent(inputs, weights[:2])


def _cuda_recurrent(inputs: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    return _recurrent(inputs, weights)


BY_NAME: dict[Formula, str] = {
    _product: """
        aten::_int_mm aten::mv aten::dot aten::vdot aten::_scaled_mm_v2 aten::mkldnn_linear
        aten::_mixed_dtypes_linear aten::_weight_int8pack_mm aten::_weight_int4pack_mm
        aten::_weight_int4pack_mm_for_cpu aten::_weight_int4pack_mm_with_scales_and_zeros
        aten::_dyn_quant_matmul_4bit aten::affine_grid_generator""",
    _added_product: """
        aten::_addmm_activation aten::addmm_ aten::baddbmm_ aten::addmv aten::addmv_""",
    _summed_product: "aten::addbmm aten::addbmm_",
    _outer: "aten::addr aten::addr_",
    _grouped: """
        aten::_grouped_mm aten::_scaled_grouped_mm aten::_scaled_grouped_mm_v2
        transformers::grouped_mm_fallback""",
    _convolution: """
        aten::_conv_depthwise2d aten::conv_depthwise3d aten::mkldnn_convolution
        aten::slow_conv3d_forward aten::slow_conv_dilated2d aten::slow_conv_dilated3d
        aten::cudnn_convolution_relu aten::cudnn_convolution_add_relu torchvision::deform_conv2d""",
    _convolution_over_time: "aten::conv_tbc",
    _triangular: "aten::linalg_solve_triangular",
    _attention: """
        aten::_scaled_dot_product_flash_attention_for_cpu
        aten::_scaled_dot_product_flash_attention aten::_scaled_dot_product_efficient_attention
        aten::_scaled_dot_product_cudnn_attention
        aten::_scaled_dot_product_fused_attention_overrideable
        aten::_scaled_dot_product_attention_math_for_mps""",
    _cpu_recurrent: "aten::mkldnn_rnn_layer",
    _cuda_recurrent: "aten::_cudnn_rnn",
}


def formulas() -> dict[Any, Formula]:
    """Return the formula of each operation that is there: libraries bring theirs when imported."""
    return dict(_complex()) | {
        packet: formula
        for formula, names in BY_NAME.items()
        for name in names.split()
        if (packet := _packet(name)) is not None
    }


def _packet(name: str) -> Any:
    namespace, _, operation = name.partition("::")
    return getattr(getattr(torch.ops, namespace), operation, None)


def _complex() -> Iterator[tuple[Any, Formula]]:
    """Count a product of complex numbers as the four of real ones that it takes."""
    for name in COMPLEX:
        packet = getattr(torch.ops.aten, name)
        yield packet, _times_four(flop_registry[packet])


def _times_four(real: Formula) -> Formula:
    def counted(*args: Any, out_val: Any, **kwargs: Any) -> int:
        return real(*args, out_val=out_val, **kwargs) * (4 if out_val.is_complex() else 1)

    counted._get_raw = True  # type: ignore[attr-defined]  # it wants tensors, not shapes
    return counted
