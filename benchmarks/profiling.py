"""Does the profile add up, and is it right: python benchmarks/profiling.py [PART...].

`models`: the stage on the five models, whose rows are to add up to the latency, in under a minute.
`planted`: layers that sleep, copy, compute in double precision, on denormals, on scattered weights.
`alone`: the ten slowest layers of ResNet-50 against the same layers timed alone, warm.
`others`: torch.profiler's and DeepSpeed's own sums (pip install deepspeed) against the latency.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from report import run_stage
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.profiler import ProfilerActivity, profile

from modelbench.measurement.profiling.calls import Calls
from modelbench.measurement.profiling.captured import capture
from modelbench.measurement.profiling.layer_times import Rule, time_layers
from modelbench.measurement.profiling.recorder import How, record
from modelbench.models.unet import UNet
from modelbench.stages.profile.rows import Sources, accounted, rows_of
from modelbench.stages.profile.suspects import Scene, findings_of

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "configs"))
import slow

CPU = torch.device("cpu")
MODELS = {
    "cnn": ["model=cnn"],
    "unet": ["model=unet"],
    "gpt2": ["model=gpt2"],
    "clip": ["model=clip"],
    "stable_diffusion, tiny": ["model=stable_diffusion", "model.variant=tiny"],
}
LOW, HIGH, SECONDS, WITHIN = 0.95, 1.05, 60.0, 0.15
PLANTED = {
    slow.Sleeps: "no operator runs",
    slow.Copies: "copying tensors",
    slow.Double: "float64",
    slow.Denormal: "denormal",
    slow.Scattered: "not contiguous",
}


def main() -> None:
    """Run the parts asked for, or all."""
    parts: dict[str, Callable[[], bool]] = {
        "models": models, "planted": planted, "alone": alone, "others": others,
    }  # fmt: skip
    chosen = sys.argv[1:] or list(parts)
    met = [parts[name]() for name in chosen]
    print("met" if all(met) else "MISSED")
    sys.exit(not all(met))


def models() -> bool:
    """Run the stage on each model."""
    table = Table("model", "phase", "ms", "accounted", "overhead", "between layers", "stage, s")
    met = True
    with tempfile.TemporaryDirectory() as folder:
        for name, words in MODELS.items():
            found = run_stage([*words, "test=profile"], Path(folder))
            metrics = {key: each["value"] for key, each in found["metrics"].items()}
            met &= found["status"] == "passed" and found["seconds"] <= SECONDS
            for key, accounted in metrics.items():
                if not key.endswith("/accounted"):
                    continue
                phase = key.split("/")[1]
                met &= LOW <= accounted <= HIGH
                table.add_row(
                    name, phase, f"{metrics[f'profile/{phase}/p50_ms']:.3g}", f"{accounted:.3f}",
                    f"{metrics[f'profile/{phase}/overhead']:+.1%}",
                    f"{metrics[f'profile/{phase}/between_layers']:.1%}", f"{found['seconds']:.0f}",
                )  # fmt: skip
    Console().print(table)
    return met


def planted() -> bool:
    """Look for each planted layer."""
    table = Table("planted", "first in its list", "reasons", "met")
    every = True
    for kind, words in PLANTED.items():
        model = slow.Among(kind()).eval()
        rows = torch.rand(2, slow.WIDE)
        model(rows)

        def call(model: nn.Module = model, rows: torch.Tensor = rows) -> Any:
            return model(rows)

        times = time_layers(model, call, CPU, Rule(0.5))
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            recorded = record(model, call, CPU, Path(folder) / "t.json.gz", How("forward"))
        found = rows_of(Sources(times, None, recorded, dict(model.named_modules()), None))
        findings = findings_of(
            Scene(model, call, CPU, found, recorded, None), 20.0, {}, lambda _: None
        )
        reasons = [f.sentence for f in findings if f.suspect.row.path == "slow"]
        met = found[0].path == "slow" and any(words in reason for reason in reasons)
        every &= met
        table.add_row(kind.__name__, found[0].path, "\n".join(reasons), "yes" if met else "NO")
    Console().print(table)
    return every


def alone() -> bool:
    """Time ResNet-50's slowest layers alone, on their own input."""
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    model = ResNetForImageClassification(ResNetConfig()).eval()
    image = torch.rand(1, 3, 224, 224)
    times = time_layers(model, lambda: model(image), CPU, Rule(5.0))
    rows = rows_of(Sources(times, None, None, dict(model.named_modules()), None))
    slowest = [row for row in rows if row.leaf][:10]
    captured = capture(model, lambda: model(image), {row.path for row in slowest})
    inside: dict[str, list[float]] = {row.path: [] for row in slowest}
    apart: dict[str, list[float]] = {row.path: [] for row in slowest}
    cold: dict[str, list[float]] = {row.path: [] for row in slowest}
    calls = Calls(model, perf_counter)
    paths = list(calls.names)
    for _ in range(20):  # side by side, since the machine's speed changes
        with torch.inference_mode():
            model(image)
            with calls:
                model(image)
            spans = calls.spans()
            for number, taken in zip(spans.module.tolist(), spans.own(), strict=True):
                if paths[number] in inside:
                    inside[paths[number]].append(taken * 1e3)
            for path, each in captured.items():
                model(image)  # leaves in the caches what it leaves there for itself
                cold[path].append(_ms(each))
                apart[path].append(_ms(each))
    table = Table("layer", "in the model, ms", "alone, warm", "ratio", "after the model", "ratio")
    met = True
    for path, samples in inside.items():
        own, warm, after = median(samples), median(apart[path]), median(cold[path])
        met &= abs(own / warm - 1) <= WITHIN
        table.add_row(path, f"{own:.3f}", f"{warm:.3f}", f"{own / warm:.3f}", f"{after:.3f}",
                      f"{own / after:.3f}")  # fmt: skip
    Console().print(table)
    return met


def others() -> bool:
    """Hold the sums of other profilers against the true latency of the U-Net at 64 pixels."""
    torch.manual_seed(0)
    model, image = UNet().eval(), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        true_ms = median(_ms(lambda: model(image)) for _ in range(40))
    ours = time_layers(model, lambda: model(image), CPU, Rule(3.0))
    table = Table(
        "profiler", "sum of layers or operators, ms", "of the latency", "its own call, ms"
    )
    added = accounted(rows_of(Sources(ours, None, None, dict(model.named_modules()), None)))
    table.add_row("modelbench", f"{added * ours.median_ms:.2f}", f"{added:.3f}",
                  f"{ours.median_ms * (1 + ours.overhead):.2f}")  # fmt: skip
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], with_modules=True) as p:
        took = _ms(lambda: model(image))
    spent = sum(each.self_cpu_time_total for each in p.key_averages()) / 1e3
    table.add_row("torch.profiler, key_averages", f"{spent:.2f}", f"{spent / true_ms:.3f}",
                  f"{took:.2f}")  # fmt: skip
    try:
        found, took = _deepspeed(model, image)
    except ImportError as error:
        table.add_row("DeepSpeed's flops profiler", f"not installed ({error.name})", "", "")
    else:
        table.add_row("DeepSpeed's flops profiler", f"{found:.2f}", f"{found / true_ms:.3f}",
                      f"{took:.2f}")  # fmt: skip
    Console().print(table)
    return LOW <= added <= HIGH


def _deepspeed(model: nn.Module, image: torch.Tensor) -> tuple[float, float]:
    """Return what DeepSpeed's layers add up to, and how long the call took under it; ms."""
    with contextlib.redirect_stdout(io.StringIO()):
        from deepspeed.profiling.flops_profiler import FlopsProfiler
    found = FlopsProfiler(model)
    found.start_profile()
    took = _ms(lambda: model(image))
    leaves = [m for m in model.modules() if not any(True for _ in m.children())]
    spent = sum(getattr(m, "__duration__", 0.0) for m in leaves) * 1e3
    found.end_profile()
    return spent, took


def _ms(call: Callable[[], Any]) -> float:
    start = perf_counter()
    call()
    return (perf_counter() - start) * 1e3


if __name__ == "__main__":
    main()
