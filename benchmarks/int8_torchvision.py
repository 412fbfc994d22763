"""INT8 of torchvision's models: python benchmarks/int8_torchvision.py [MODEL...].

Each as the quantization stage ships it, interleaved with FP32 eager. The weights are random, as
torchvision draws them, and heads of zeros are drawn too. Needs torchvision.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torchvision
from report import run_stage, table
from torch import nn

MODELS = (
    "resnet18", "resnet50", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "vit_b_16",
    "swin_t",
)  # fmt: skip
GOAL = 0.95
SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHOWN = ("size_ratio", "coverage_macs", "sqnr_db", "sqnr_db_min", "speedup", "compile_s")
YAML = """# One of torchvision's models.
name: {name}
build: {{_target_: int8_torchvision.build, arch: {name}}}
axes: {{batch_size: 1, image_size: {size}}}
inputs:
  x: {{_target_: modelbench.inputs.Image, channels: 3, mean: {mean}, std: {std}}}
"""


def build(arch: str) -> nn.Module:
    """Build a model with random weights, and a random head where torchvision's is zero."""
    model: nn.Module = torchvision.models.get_model(arch, weights=None)
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            nn.init.normal_(layer.weight, std=0.02)
    return model


def main() -> None:
    """Run the stage on each model."""
    rows, names = [], sys.argv[1:] or MODELS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model").mkdir()
        here = Path(__file__)
        (folder / here.name).write_text(here.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "report.py").write_text((here.parent / "report.py").read_text(encoding="utf-8"))
        for arch in names:
            text = YAML.format(name=arch, size=SIZE, mean=list(MEAN), std=list(STD))
            (folder / "model" / f"{arch}.yaml").write_text(text, encoding="utf-8")
            found = _measured(arch, folder)
            cells = [f"{found[key]:.3f}" if key in found else "" for key in SHOWN]
            rows.append((arch, *cells, "met" if found["coverage_macs"] >= GOAL else "MISSED"))
            print(*rows[-1], file=sys.stderr, flush=True)
    table(f"INT8 of torchvision's models (coverage >= {GOAL})", ("model", *SHOWN, "goal"), rows)
    sys.exit(any(row[-1] == "MISSED" for row in rows))


def _measured(arch: str, folder: Path) -> dict[str, float]:
    words = ["--config-dir", str(folder), f"model={arch}", "test=quantization"]
    only = ["test.quantization.schemes=[int8_static]", "test.quantization.budget_s=5"]
    stage: dict[str, Any] = run_stage([*words, *only], folder)
    prefix = "quantization/int8_static/"
    return {n.removeprefix(prefix): m["value"] for n, m in stage["metrics"].items() if prefix in n}


if __name__ == "__main__":
    main()
