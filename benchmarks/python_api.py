"""What the Python interface costs: python benchmarks/python_api.py.

`modelbench.summary` against torchinfo's on three models; `modelbench.measure` of structure against
the stage's own seconds; testing on 1,000 pictures against a loop written by hand.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
import torchinfo
import transformers
from PIL import Image as Pillow
from report import report

import modelbench
from modelbench.inputs import Image
from modelbench.inputs.draw import Draw
from modelbench.inputs.image_folder import ImageFolder
from modelbench.measurement.numerics.quality import outcomes
from modelbench.models.unet import UNet

REPEATED, PICTURES = 5, 1000


def main() -> None:
    """Time each, ours and theirs by turns."""
    rows: dict[str, list[float]] = {}
    goals: dict[str, tuple[float, float]] = {}
    for name, (model, inputs) in _models().items():
        ours = lambda m=model, x=inputs: modelbench.summary(m, x)  # noqa: E731
        theirs = lambda m=model, x=inputs: torchinfo.summary(  # noqa: E731
            m, input_data=x, verbose=0
        )
        rows[f"summary of {name}"], rows[f"torchinfo of {name}"] = _by_turns(ours, theirs)
        ratio = median(rows[f"summary of {name}"]) / median(rows[f"torchinfo of {name}"])
        goals[f"summary of {name}, of torchinfo's"] = ratio, 1.0
    goals["summary of resnet50, seconds"] = median(rows["summary of resnet50"]), 1.0
    rows["measure beyond the stage"] = _measure()
    goals["measure beyond the stage, seconds"] = median(rows["measure beyond the stage"]), 0.5
    ours_s, theirs_s = _accuracy()
    rows["accuracy of 1,000 pictures"], rows["by hand"] = ours_s, theirs_s
    goals["accuracy, of a loop by hand"] = median(ours_s) / median(theirs_s), 1.03
    sys.exit(not report("python_api", rows, goals))


def _models() -> dict[str, tuple[torch.nn.Module, torch.Tensor]]:
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    resnet = transformers.ResNetForImageClassification(transformers.ResNetConfig()).eval()
    return {
        "resnet50": (resnet, torch.randn(1, 3, 224, 224)),
        "gpt2": (gpt2, torch.randint(0, 50257, (1, 128))),
        "unet": (UNet().eval(), torch.randn(1, 3, 256, 256)),
    }


def _by_turns(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[list[float], ...]:
    found: tuple[list[float], list[float]] = [], []
    for call in (first, second):
        call()
    for _ in range(REPEATED):
        for call, seconds in zip((first, second), found, strict=True):
            start = perf_counter()
            call()
            seconds.append(perf_counter() - start)
    return found


def _measure() -> list[float]:
    """Measure structure again and again, in a process that has imported torch."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(REPEATED + 1):
            start = perf_counter()
            results = modelbench.measure(
                UNet(), torch.randn(1, 3, 64, 64), test="structure", folder=f"{folder}/{number}"
            )
            whole = perf_counter() - start
            found.append(whole - results.to_dict()["stages"]["structure"]["seconds"])
    return found[1:]  # the first waits for the fork server to import torch


def _accuracy() -> tuple[list[float], ...]:
    model = transformers.ResNetForImageClassification(transformers.ResNetConfig()).eval()
    with tempfile.TemporaryDirectory() as folder:
        for part, count in (("train", 1), ("val", PICTURES)):
            for number in range(count):
                place = Path(folder, part, str(number % 2))
                place.mkdir(parents=True, exist_ok=True)
                Pillow.effect_noise((96, 96), 50).convert("RGB").save(place / f"{number}.png")
        Path(folder, "train", "1").mkdir()
        Pillow.new("RGB", (96, 96)).save(Path(folder, "train", "1", "0.png"))
        data = ImageFolder(folder, batch_size=16).bound({"pixel_values": Image(3)})
        draw = Draw({"image_size": 64, "batch_size": 16})

        def ours() -> None:
            outcomes(lambda batch: batch.call(model), data.test(draw), None)

        def theirs() -> None:
            right = total = 0
            with torch.inference_mode():
                for batch in data.test(draw):
                    logits = model(**batch.kwargs).logits
                    right += int((logits.argmax(-1) == batch.labels).sum())
                    total += len(logits)

        return _by_turns(ours, theirs)


if __name__ == "__main__":
    main()
