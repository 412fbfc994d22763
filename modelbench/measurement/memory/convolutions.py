"""What a convolution on the CPU takes beside its input, its weights and its output, as measured."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
CONVOLUTIONS = {aten.convolution.default, aten.convolution_backward.default}


def extra(func: Any, args: Any, result: Any) -> int:
    """Return the bytes that the kernel needs for itself, the result being there; none on a GPU."""
    backward = func is aten.convolution_backward.default
    x: Tensor = args[1 if backward else 0]
    if x.device.type != "cpu":
        return 0
    return int(x.nbytes + args[0].nbytes) if backward else _forward(args, result)


def _forward(args: Any, result: Any) -> int:
    """Return the bytes of a forward pass.

    oneDNN works on copies in a layout of its own, whose channels come in blocks or, in the half
    precisions that the CPU computes in, pixel by pixel. What oneDNN does not compute in is a matrix
    product of all windows of the input.
    """
    x, weight, transposed, groups = args[0], args[1], args[6], args[8]
    if not _onednn(x.dtype) or _better_by_torch(x, weight, args[3], args[5], groups):
        return _windows(x, weight, result, transposed=transposed, groups=groups)
    if transposed:
        return int(max(x.nbytes + result.nbytes, 2 * result.nbytes))
    if _pixel_by_pixel(x) or _pixel_by_pixel(weight):
        return int(weight.nbytes + (0 if _pixel_by_pixel(x) else x.nbytes))
    depthwise = 1 < groups == x.shape[1]
    if _brgemm(x.dtype, depthwise=depthwise):  # pixel by pixel, and the result twice
        return int(max(x.nbytes + weight.nbytes, 2 * result.nbytes))
    blocked = _blocked(result)
    copied = _blocked(x, few=None if depthwise else 0)
    return max(copied + int(weight.nbytes) + blocked - int(result.nbytes), blocked)


def _windows(x: Tensor, weight: Tensor, result: Tensor, *, transposed: bool, groups: int) -> int:
    """Return the bytes of all windows of a group, or of the groups' own results."""
    if weight[0, 0].numel() == 1 and x.shape[2:] == result.shape[2:]:
        return 0
    small = x if transposed else result
    depth = math.prod(weight.shape[1:])  # a row's channels, times the window
    windows = len(x) * depth * math.prod(small.shape[2:]) * x.element_size()
    if transposed:
        return windows + result.nbytes
    return max(windows, result.nbytes if groups > 1 else 0)


def _blocked(tensor: Tensor, few: int | None = None) -> int:
    """Return the bytes in blocks of channels; `few` where an input has less than one block."""
    channels, block = tensor.shape[1], _block()
    if few is not None and channels < block:
        return few
    return int(tensor.nbytes) * math.ceil(channels / block) * block // max(1, channels)


def _pixel_by_pixel(tensor: Tensor) -> bool:
    """Return whether the channels come last, and only then."""
    kinds = {4: torch.channels_last, 5: torch.channels_last_3d}
    if tensor.ndim not in kinds or tensor.is_contiguous():
        return False
    return tensor.is_contiguous(memory_format=kinds[tensor.ndim])


def _better_by_torch(x: Tensor, weight: Tensor, stride: Any, dilation: Any, groups: int) -> bool:
    """Return whether torch computes it by itself (ConvParams::use_mkldnn, Convolution.cpp)."""
    if x.dtype is not torch.float32 or x.ndim != 4:
        return False
    plain = all(step == 1 for step in [*stride, *dilation]) and len(x) < 16
    if plain and weight.shape[2:] == (1, 1) and torch.get_num_threads() == 1:
        return True
    large = len(x) > 1 or x.numel() > 20480 or min(weight.shape[2:]) > 3
    return groups == 1 and not large


@cache
def _brgemm(dtype: torch.dtype, *, depthwise: bool) -> bool:
    """Return whether oneDNN has half-precision kernels of this CPU's own (AMX, AVX512-FP16)."""
    if dtype is torch.bfloat16:
        return torch.cpu._is_amx_tile_supported() and not depthwise
    return dtype is torch.float16


@cache
def _block() -> int:
    """Return the channels of a block: as many float32 as a vector of this CPU holds."""
    return {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)


@cache
def _onednn(dtype: torch.dtype) -> bool:
    """Return whether oneDNN computes in a type on this CPU."""
    if dtype is torch.float32:
        return bool(torch._C._has_mkldnn)
    name = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
    told = getattr(torch.ops.mkldnn, name[dtype], None) if dtype in name else None
    return bool(told and torch._C._has_mkldnn and told())
