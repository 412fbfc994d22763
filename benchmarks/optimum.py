"""Ours against optimum-benchmark 0.6.0: python benchmarks/optimum.py.

The same GPT-2 with random weights from the same folder, 128 tokens, 32 new tokens, batch 1, ten
samples of each phase; whole commands, interleaved. Ours once with the two phases that theirs has,
once with the third, the MACs and the roofline as well. Theirs needs transformers 4, so each has a
virtual environment below outputs/benchmarks, made the first time, with the same torch and
transformers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from functools import partial
from statistics import median

from report import OUTPUTS, report, seconds

PACKAGES = ["torch==2.13.0", "transformers==4.56.2", "optimum-benchmark==0.6.0"]
OURS = [*PACKAGES[:2], "-e", str(OUTPUTS.parent.parent)]
ROUNDS, SAMPLES = 2, 10
SAVE = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
GPT2LMHeadModel(GPT2Config()).save_pretrained(sys.argv[1])
"""
THEIRS = f"""
import sys
from optimum_benchmark import (
    Benchmark, BenchmarkConfig, InferenceConfig, InlineConfig, ProcessConfig, PyTorchConfig,
)

if __name__ == "__main__":
    folder, launcher = sys.argv[1:]
    Benchmark.launch(BenchmarkConfig(
        name="gpt2",
        launcher=ProcessConfig() if launcher == "process" else InlineConfig(),
        scenario=InferenceConfig(
            latency=True, memory=False, warmup_runs=1, iterations={SAMPLES}, duration=0,
            input_shapes={{"batch_size": 1, "sequence_length": 128}},
            generate_kwargs={{"max_new_tokens": 32, "min_new_tokens": 32}},
        ),
        backend=PyTorchConfig(
            model=folder, task="text-generation", library="transformers", model_type="gpt2",
            device="cpu",
        ),
    ))
"""
SETTINGS = {"budget_s": 100, "min_samples": SAMPLES, "max_samples": SAMPLES, "min_s": 0,
            "warmup_s": 0, "batch_sizes": [], "prompt_lengths": []}  # fmt: skip
SAME = ["test.benchmark.phases=[prefill,generate]", "test.benchmark.roofline=false"]


def main() -> None:
    """Time the four commands interleaved; goals as shares of theirs."""
    theirs = _environment("optimum-benchmark", PACKAGES)
    ours = _environment("transformers-4", OURS)
    folder = OUTPUTS / "gpt2"
    _run([theirs, "-c", SAVE, str(folder)])
    script = OUTPUTS / "theirs.py"
    script.write_text(THEIRS, encoding="utf-8")
    whole = [ours, "-m", "modelbench", "model=gpt2", "model.weights=pretrained",
            f"model.checkpoint={folder}", "test=benchmark", "tracker=none",
            *(f"test.benchmark.{key}={value}" for key, value in SETTINGS.items())]  # fmt: skip
    commands = {
        "optimum-benchmark, process": [theirs, str(script), str(folder), "process"],
        "optimum-benchmark, inline": [theirs, str(script), str(folder), "inline"],
        "modelbench, the same phases": [*whole, *SAME],
        "modelbench, with all it tells": whole,
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name] += seconds(partial(_run, command), 1)
    process, inline, mine, _ = (median(taken) for taken in times.values())
    goals = {"ours / process": (mine / process, 0.42), "ours / inline": (mine / inline, 1.0)}
    sys.exit(not report("whole jobs against optimum-benchmark", times, goals))


def _environment(name: str, packages: list[str]) -> str:
    home = OUTPUTS / f"venv-{name}"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.is_file():
        venv.create(home, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


def _run(command: list[str]) -> None:
    """Run quietly; end with what was said where it fails."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, env=offline, cwd=OUTPUTS, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
