"""What INT8 and BF16 reach, cost and gain: python benchmarks/quantization.py.

Each model as the quantization stage ships it, interleaved with FP32 eager; goals beside. The second
table has all five models with the default schemes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from report import run_stage, table

GOALS = {  # MiB or share of FP32, MAC coverage, dB, speed
    ("unet", "int8"): ("size_mib", 31.0, 0.95, 40.0, 4.0),
    ("gpt2", "int8"): ("size_mib", 275.0, 0.95, 24.0, 4.0),
    ("clip", "int8"): ("size_ratio", 0.45, 0.90, 30.0, 2.8),
    ("unet", "bf16"): ("size_mib", 59.3, 1.0, 30.0, 2.0),
}
MODELS = {
    "cnn": ["model=cnn"],
    "unet": ["model=unet"],
    "gpt2": ["model=gpt2"],
    "clip": ["model=clip"],
    "stable_diffusion, tiny": ["model=stable_diffusion", "model.variant=tiny"],
}
SHOWN = ("size_mib", "coverage_macs", "sqnr_db", "speedup", "compile_s")


def main() -> None:
    """Run the stage on each model."""
    with tempfile.TemporaryDirectory() as folder:
        found = {name: _metrics(words, Path(folder)) for name, words in MODELS.items()}
    rows = []
    for (model, scheme), (size, most, coverage, sqnr, speed) in GOALS.items():
        value = {key: found[model].get(f"{scheme}/{key}", 0.0) for key in (*SHOWN, size)}
        met = (
            value[size] <= most
            and value["coverage_macs"] >= coverage
            and value["sqnr_db"] >= sqnr
            and value["speedup"] >= speed
        )
        held = (
            f"{value[size]:.4g} (<= {most:g})",
            f"{value['coverage_macs']:.3f} (>= {coverage:g})",
            f"{value['sqnr_db']:.1f} (>= {sqnr:g})",
            f"{value['speedup']:.2f} (>= {speed:g})",
        )
        rows.append((f"{model}, {scheme}", *held, "met" if met else "MISSED"))
    columns = ("model, scheme", "MiB or share", "MAC coverage", "dB", "times FP32", "goals")
    table("quantization against its goals", columns, rows)
    everything = [
        (model, scheme, *(_cell(metrics, scheme, key) for key in SHOWN))
        for model, metrics in found.items()
        for scheme in dict.fromkeys(name.partition("/")[0] for name in metrics)
    ]
    table("quantization of all models", ("model", "scheme", *SHOWN), everything)
    sys.exit(any(row[-1] == "MISSED" for row in rows))


def _metrics(words: list[str], folder: Path) -> dict[str, float]:
    stage: dict[str, Any] = run_stage([*words, "test=quantization"], folder)
    named = stage["metrics"].items()
    return {name.removeprefix("quantization/"): metric["value"] for name, metric in named}


def _cell(metrics: dict[str, float], scheme: str, key: str) -> str:
    value = metrics.get(f"{scheme}/{key}")
    return "" if value is None else f"{value:.3f}" if key == "coverage_macs" else f"{value:,.2f}"


if __name__ == "__main__":
    main()
