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
    """Give the bytes that the kernel needs for itself, the result being there; none on a GPU.

    oneDNN works on copies in a layout of its own, whose channels come in blocks. What it does not
    compute in, half precision on most CPUs, is a matrix product of all windows of the input.
    """
    if func is aten.convolution_backward.default:
        gradient, x = args[:2]
        return int(x.nbytes + gradient.nbytes) if x.device.type == "cpu" else 0
    x, weight, transposed, groups = args[0], args[1], args[6], args[8]
    if x.device.type != "cpu":
        return 0
    if not _onednn(x.dtype):
        return _windows(x, weight, result, transposed=transposed, groups=groups)
    if transposed:
        return int(max(x.nbytes + result.nbytes, 2 * result.nbytes))
    if _pixel_by_pixel(x) or _pixel_by_pixel(weight):
        return int(weight.nbytes + (0 if _pixel_by_pixel(x) else x.nbytes))
    blocked = _blocked(result)
    return max(_blocked(x, few=0) + int(weight.nbytes) + blocked - int(result.nbytes), blocked)


def _windows(x: Tensor, weight: Tensor, result: Tensor, *, transposed: bool, groups: int) -> int:
    """Give the bytes of all windows of a group, or of the groups' own results."""
    if weight[0, 0].numel() == 1 and x.shape[2:] == result.shape[2:]:
        return 0
    small = x if transposed else result
    depth = math.prod(weight.shape[1:])  # a row's channels, times the window
    windows = len(x) * depth * math.prod(small.shape[2:]) * x.element_size()
    if transposed:
        return windows + result.nbytes
    return max(windows, result.nbytes if groups > 1 else 0)


def _blocked(tensor: Tensor, few: int | None = None) -> int:
    """Give the bytes in blocks of channels; `few` where an input has less than one block."""
    channels, block = tensor.shape[1], _block()
    if few is not None and channels < block:
        return few
    return int(tensor.nbytes) * math.ceil(channels / block) * block // max(1, channels)


def _pixel_by_pixel(tensor: Tensor) -> bool:
    """Tell whether the channels come last, and only then."""
    kinds = {4: torch.channels_last, 5: torch.channels_last_3d}
    if tensor.ndim not in kinds or tensor.is_contiguous():
        return False
    return tensor.is_contiguous(memory_format=kinds[tensor.ndim])


@cache
def _block() -> int:
    """Give the channels of a block: as many float32 as a vector of this CPU holds."""
    return {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)


@cache
def _onednn(dtype: torch.dtype) -> bool:
    """Tell whether oneDNN computes in a type on this CPU."""
    if dtype is torch.float32:
        return bool(torch._C._has_mkldnn)
    name = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
    told = getattr(torch.ops.mkldnn, name[dtype], None) if dtype in name else None
    return bool(told and torch._C._has_mkldnn and told())
