"""All there is to try on a machine with an accelerator: python benchmarks/gpu.py [DEVICE].

Runs the tests marked `gpu`, the five models through all stages, and the precisions of two of them,
in under 10 minutes, and writes the tables for docs/performance.md to outputs/benchmarks/gpu.md.
Whatever fails is told, and the rest goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from report import OUTPUTS

GOAL_S = 600
MODELS: dict[str, list[str]] = {
    "cnn": [],
    "unet": [],
    "gpt2": [],
    "clip": [],
    "stable_diffusion": ["model.variant=tiny"],
}
PRECISIONS = ("unet", "gpt2")
SCHEMES = "[fp32_compiled,fp16,bf16,tf32,fp8,int8]"
SHORT = (
    "tracker=none", "test.benchmark.budget_s=3", "test.benchmark.throughput_s=0.3",
    "test.dynamic.point_s=0.2", "test.quantization.budget_s=1", "test.algorithm.budget_s=10",
)  # fmt: skip
FIGURES = ("p50_ms", "stream_p50_ms", "kernels_ms", "items_per_s", "mfu", "bandwidth")


def main() -> None:
    """Run, and write."""
    device = sys.argv[1] if sys.argv[1:] else "cuda"
    start = perf_counter()
    parts = [_tests()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = {model: _job(folder, model, device, "test=all") for model in MODELS}
        schemes = f"test.quantization.schemes={SCHEMES}"
        precise = {m: _job(folder, m, device, "test=quantization", schemes) for m in PRECISIONS}
    parts += [_about(jobs), _phases(jobs), _memory(jobs), _precisions(precise), _failures(jobs)]
    seconds = perf_counter() - start
    parts.append(f"Took {seconds:.0f} s, goal under {GOAL_S}.")
    text = "\n\n".join(filter(None, parts)) + "\n"
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    (OUTPUTS / "gpu.md").write_text(text, encoding="utf-8")
    print(text)
    good = all(job.get("status") == "passed" for job in jobs.values())
    sys.exit(not good or seconds > GOAL_S)


def _tests() -> str:
    """Run the tests that need a GPU; gives pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"pytest -m gpu: {(done.stdout.strip() or done.stderr).splitlines()[-1]}"


def _job(folder: Path, model: str, device: str, *words: str) -> dict[str, Any]:
    """Run one job, and give its results; a job that has none gives its last words."""
    place = folder / f"{len(list(folder.iterdir()))}"
    place.mkdir()
    command = [
        sys.executable, "-m", "modelbench", f"model={model}", *MODELS[model],
        f"device={device}", *SHORT, *words, "hydra.run.dir=.",
    ]  # fmt: skip
    print(*command[1:], file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    file = place / "results.json"
    if not file.is_file():
        return {"status": "failed", "reason": done.stderr.strip(), "stages": {}}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _about(jobs: dict[str, Any]) -> str:
    """Name the machine by what the first job has seen."""
    environment: dict[str, Any] = next(
        (job["environment"] for job in jobs.values() if job.get("environment")), {}
    )
    wanted = ("gpu", "gpu_memory_gib", "gpu_capability", "gpu_compute_mode", "driver", "cuda",
              "cudnn", "tf32_matmul", "cpu", "python")  # fmt: skip
    told = [f"{key} {environment[key]}" for key in wanted if key in environment]
    return ", ".join([*told, *(f"{k} {v}" for k, v in environment.get("versions", {}).items())])


def _phases(jobs: dict[str, Any]) -> str:
    rows = []
    for model, job in jobs.items():
        stage = job["stages"].get("benchmark", {})
        metrics = stage.get("metrics", {})
        phases = {name.split("/")[1] for name in metrics if name.endswith("/p50_ms")}
        for phase in sorted(phases):
            values = (metrics.get(f"benchmark/{phase}/{figure}") for figure in FIGURES)
            cells = [f"{value['value']:.4g}" if value else "" for value in values]
            bound = stage["details"].get(phase, {}).get("bound", "")
            rows.append((model, phase, *cells, bound))
    return _table(("model", "phase", *FIGURES, "bound"), rows)


def _memory(jobs: dict[str, Any]) -> str:
    figures = ("predicted_inference_peak_mib", "inference_peak_mib", "predicted_training_peak_mib",
               "training_peak_mib", "cuda_reserved_mib")  # fmt: skip
    rows = []
    for model, job in jobs.items():
        metrics = job["stages"].get("memory", {}).get("metrics", {})
        values = (metrics.get(f"memory/{figure}") for figure in figures)
        rows.append((model, *(f"{v['value']:,.0f}" if v else "" for v in values)))
    return _table(("model", *figures), rows)


def _precisions(jobs: dict[str, Any]) -> str:
    figures = ("size_ratio", "coverage_macs", "sqnr_db", "p50_ms", "speedup")
    rows = []
    for model, job in jobs.items():
        stage = job["stages"].get("quantization", {})
        for scheme in SCHEMES.strip("[]").split(","):
            values = [stage.get("metrics", {}).get(f"quantization/{scheme}/{f}") for f in figures]
            if any(values):
                rows.append((model, scheme, *(f"{v['value']:.4g}" if v else "" for v in values)))
        rows += [(model, note) for note in _notes(stage) if "skipped" in note]
    return _table(("model", "scheme", *figures), rows)


def _notes(stage: dict[str, Any]) -> list[str]:
    notes: list[str] = stage.get("details", {}).get("notes", [])
    return notes


def _failures(jobs: dict[str, Any]) -> str:
    return "\n".join(_reasons(jobs))


def _reasons(jobs: dict[str, Any]) -> Iterator[str]:
    for model, job in jobs.items():
        if job.get("reason"):
            yield f"{model}: {job['reason']}"
        for name, stage in job["stages"].items():
            if stage["status"] != "passed":
                yield f"{model}, {name} {stage['status']}: {stage['reason']}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    padded = ([*line, *[""] * (len(columns) - len(line))] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


if __name__ == "__main__":
    main()
