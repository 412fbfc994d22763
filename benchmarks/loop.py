"""Our timing against a hand-written loop: python benchmarks/loop.py.

Each sample of the one is followed by one of the other, in blocks that take turns; a call that
sleeps for 20 ms tells whether either is off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter, sleep
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from report import table

from modelbench.config import schema
from modelbench.config.validate import check
from modelbench.measurement.timing.pairing import Pairs, collect_pairs
from modelbench.measurement.timing.timing import Sample, no_collection, sampler
from modelbench.models.workload import Workload

PAIRS = Pairs(budget_s=30, min_blocks=20, max_blocks=2000, warmup_s=2)
CPU = torch.device("cpu")


def main() -> None:
    """Compare each model, and the sleep."""
    calls = {model: _forward(model) for model in ("cnn", "unet", "gpt2")}
    calls["sleep of 20 ms"] = lambda: sleep(0.02)
    rows, good = [], True
    for name, call in calls.items():
        with torch.inference_mode(), no_collection():
            found = collect_pairs(_loop(call), sampler(call, CPU), PAIRS).ratio
        low, high = found.interval or (0.0, 0.0)
        limit = 0.01 if name.startswith("sleep") else 0.02
        met = abs(found.median - 1) <= limit
        good &= met
        verdict = f"{1 - limit:g} to {1 + limit:g}: {'met' if met else 'MISSED'}"
        rows.append(
            (name, f"{found.median:.4f}", f"{low:.4f} to {high:.4f}", found.blocks, verdict)
        )
    columns = ("what", "ours / loop", "95% interval", "blocks", "goal")
    table("timing engine against a hand-written loop", columns, rows)
    sys.exit(not good)


def _loop(call: Callable[[], Any]) -> Sample:
    """Do what everybody writes."""

    def sample() -> tuple[float, float | None]:
        start = perf_counter()
        call()
        return (perf_counter() - start) * 1e3, None

    return sample


def _forward(model: str) -> Callable[[], Any]:
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        plain = check(compose("config", [f"model={model}"]), [schema.CONF]).plain
    workload = Workload.of(plain, schema.axes(plain), CPU)
    built, batch = workload.build(), workload.batch()
    return lambda: batch.call(built)


if __name__ == "__main__":
    main()
