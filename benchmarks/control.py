"""What the control costs and disturbs: python benchmarks/control.py.

Calls of a small CNN and of a U-Net at 64 pixels are timed with and without the control beside, by
turns in one process, a second each. Its share is what passes beside the samples and the warm-up,
less what passes there without it.
"""

from __future__ import annotations

import sys
from statistics import median
from time import perf_counter

import torch
from report import report

from modelbench.measurement.timing.control import Control
from modelbench.measurement.timing.timing import Conditions, Rule, time_call
from modelbench.models.cnn import SimpleCNN
from modelbench.models.unet import UNet

PAIRS = 20
CPU = torch.device("cpu")
MODELS = {"cnn": (SimpleCNN, 32), "unet": (UNet, 64)}


def main() -> None:
    """Time pairs; the order within each alternates."""
    rows: dict[str, list[float]] = {}
    goals: dict[str, tuple[float, float]] = {}
    rule = Rule(budget_s=1.0, min_samples=5, min_s=1.0, warmup_s=0.2, precision=1e-9)
    control = Control(CPU)
    for name, (build, size) in MODELS.items():
        model, image = build().eval(), torch.randn(1, 3, size, size)
        call = lambda m=model, x=image: m(x)  # noqa: E731
        ratios, shares = [], []
        for number in range(PAIRS):
            found: dict[bool, float] = {}
            beside: dict[bool, float] = {}
            for with_it in (number % 2 == 0, number % 2 != 0):
                start = perf_counter()
                timing = time_call(
                    call, rule, CPU, Conditions(control=control if with_it else None)
                )
                seconds = perf_counter() - start
                found[with_it] = median(timing.samples_ms)
                beside[with_it] = seconds - sum(timing.samples_ms + timing.warmup_ms) / 1e3
            shares.append((beside[True] - beside[False]) / seconds)
            ratios.append(found[True] / found[False])
        rows[f"{name}, with over without"], rows[f"{name}, share of the time"] = ratios, shares
        goals[f"{name}, medians differ by"] = abs(median(ratios) - 1), 0.01
        goals[f"{name}, share of the time"] = median(shares), 0.1
    sys.exit(not report("control", rows, goals))


if __name__ == "__main__":
    main()
