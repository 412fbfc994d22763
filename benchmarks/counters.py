"""FLOP counters against each other and the hand formula: python benchmarks/counters.py.

GMACs of one forward call. Counters that are not installed are left out: pip install fvcore calflops
thop.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from report import table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modelbench.config import schema
from modelbench.config.validate import check
from modelbench.inputs.batch import Batch
from modelbench.measurement.compute.flops import count_macs
from modelbench.measurement.compute.torchinfo_figures import torchinfo_figures
from modelbench.models.workload import Workload

MODELS = {
    "cnn": ["model=cnn"],
    "unet, 256x256": ["model=unet"],
    "gpt2, 1,024 tokens": ["model=gpt2", "sequence_length=1024"],
    "clip": ["model=clip"],
    "stable_diffusion, tiny": ["model=stable_diffusion", "model.variant=tiny"],
}


def _layers(width: int, tokens: int, count: int, inner: int) -> int:
    """Count transformer layers: four projections, two of the MLP, scores and weighted values."""
    return count * (tokens * (4 * width**2 + 2 * width * inner) + 2 * tokens**2 * width)


def _unet() -> int:
    """Count the U-Net: two 3x3 convolutions a block, and a 2x2 transposed one before each up."""
    widths = [64, 128, 256, 512, 1024]
    areas = [(256 >> level) ** 2 for level in range(5)]
    total = areas[0] * widths[0]  # the last, 1x1, to one channel
    before = 3
    for width, area in zip(widths, areas, strict=True):
        total += area * 9 * (before * width + width * width)
        before = width
    for level in range(4):
        wide, narrow, area = widths[level + 1], widths[level], areas[level]
        total += areas[level + 1] * 4 * wide * narrow + area * 9 * (wide * narrow + narrow * narrow)
    return total


def _resnet(narrow: int, wide: int, area: int, time: int = 0) -> int:
    """Count two 3x3 convolutions, a 1x1 where the width changes, and the time's Linear."""
    past = narrow * wide * area if narrow != wide else 0
    return 9 * area * wide * (narrow + wide) + past + time * wide


def _attending(width: int, area: int, tokens: int, text: int) -> int:
    """Count a block of Stable Diffusion's transformer with its two 1x1 convolutions.

    It attends to itself, then to the text, and its MLP has gates: 8 widths in, 4 widths out.
    """
    own = 4 * width**2 * area + 2 * area**2 * width
    across = 2 * width**2 * area + 2 * text * width * tokens + 2 * area * tokens * width
    return own + across + (8 + 4 + 2) * width**2 * area


def _noise_predictor(widths: list[int], image: int, tokens: int, text: int) -> int:
    """Count the UNet of Stable Diffusion on latents an eighth of the image."""
    areas = [(image // 8 >> level) ** 2 for level in range(4)]
    time, deepest = 4 * widths[0], 3
    total = 9 * 4 * widths[0] * areas[0] * 2  # the first convolution and the last
    total += widths[0] * time + time**2
    before, skips = widths[0], [widths[0]]
    for level, (width, area) in enumerate(zip(widths, areas, strict=True)):
        for _ in range(2):
            total += _resnet(before, width, area, time)
            total += _attending(width, area, tokens, text) if level < deepest else 0
            before = width
            skips.append(width)
        if level < deepest:
            total += 9 * width**2 * areas[level + 1]
            skips.append(width)
    total += 2 * _resnet(before, before, areas[-1], time)
    total += _attending(before, areas[-1], tokens, text)
    for level in reversed(range(4)):
        width, area = widths[level], areas[level]
        for _ in range(3):
            total += _resnet(before + skips.pop(), width, area, time)
            total += _attending(width, area, tokens, text) if level < deepest else 0
            before = width
        total += 9 * width**2 * areas[level - 1] if level else 0
    return total


def _encoder(widths: list[int], image: int) -> int:
    """Count the VAE's encoder: images to 4 means and 4 variances a latent pixel."""
    areas = [(image >> level) ** 2 for level in range(4)]
    total, before = 9 * 3 * widths[0] * areas[0], widths[0]
    for level, (width, area) in enumerate(zip(widths, areas, strict=True)):
        total += _resnet(before, width, area) + _resnet(width, width, area)
        total += 9 * width**2 * areas[level + 1] if level < 3 else 0
        before = width
    area = areas[-1]
    total += 2 * _resnet(before, before, area) + 4 * before**2 * area + 2 * area**2 * before
    return total + 9 * before * 8 * area + 8 * 8 * area


HAND: dict[str, int] = {
    "cnn": 9 * (3 * 32 * 32**2 + 32 * 64 * 16**2 + 64 * 128 * 8**2) + 128 * 10,
    "unet, 256x256": _unet(),
    "gpt2, 1,024 tokens": _layers(768, 1024, 12, 3072) + 1024 * 768 * 50257,
    "clip": _layers(768, 50, 12, 3072) + 49 * 3 * 32**2 * 768 + 768 * 512
    + _layers(512, 77, 12, 2048) + 512 * 512 + 2 * 512,
    "stable_diffusion, tiny": _layers(32, 77, 2, 64)
    + _noise_predictor([32, 32, 64, 64], 64, 77, 32) + _encoder([32] * 4, 64),
}  # fmt: skip


def main() -> None:
    """Ask each counter about each model."""
    rows = []
    for name, words in MODELS.items():
        model, batch = _built(words)
        cells = [_asked(count, model, batch) for count in COUNTERS.values()]
        rows.append((name, f"{HAND[name] / 1e9:.4f}", *cells))
    table("FLOP counters", ("GMACs", "by hand", *COUNTERS), rows)


def _built(words: list[str]) -> tuple[nn.Module, Batch]:
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        plain = check(compose("config", words), [schema.CONF]).plain
    workload = Workload.of(plain, schema.axes(plain), torch.device("cpu"))
    return workload.build(), workload.batch()


def _asked(count: Callable[[nn.Module, Batch], float], model: nn.Module, batch: Batch) -> str:
    quiet = io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            return f"{count(model, batch) / 1e9:.4f}"
    except ImportError:
        return "not installed"
    except Exception as error:  # another's counter may raise anything
        return type(error).__name__


def _ours(model: nn.Module, batch: Batch) -> float:
    return count_macs(model, lambda: batch.call(model)).total


def _torch(model: nn.Module, batch: Batch) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        batch.call(model)
    flops: int = counter.get_total_flops()
    return flops / 2


def _torchinfo(model: nn.Module, batch: Batch) -> float:
    return torchinfo_figures(model, batch).mult_adds


def _fvcore(model: nn.Module, batch: Batch) -> float:
    from fvcore.nn import FlopCountAnalysis

    class ByPosition(nn.Module):
        """Takes what the counter can trace: tensors by position in, tensors out."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            outputs = self.model(**dict(zip(batch.kwargs, tensors, strict=True)))
            return next(iter(outputs.values())) if hasattr(outputs, "values") else outputs

    analysis = FlopCountAnalysis(ByPosition(), tuple(batch.kwargs.values()))
    return float(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def _calflops(model: nn.Module, batch: Batch) -> float:
    from calflops import calculate_flops

    found = calculate_flops(
        model, kwargs=dict(batch.kwargs), print_results=False, output_as_string=False
    )
    return float(found[1])


def _thop(model: nn.Module, batch: Batch) -> float:
    from thop import profile

    # It takes inputs by position only, and leaves counters behind in the modules: it comes last.
    return float(profile(model, inputs=tuple(batch.kwargs.values()), verbose=False)[0])


COUNTERS: dict[str, Callable[[nn.Module, Batch], float]] = {
    "ours": _ours, "torch's own": _torch, "torchinfo": _torchinfo, "fvcore": _fvcore,
    "calflops": _calflops, "thop": _thop,
}  # fmt: skip

if __name__ == "__main__":
    main()
