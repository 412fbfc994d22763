"""What the structure of seven billion parameters costs: python benchmarks/fake_weights.py.

The whole command, from the start of Python to its end, and the peak memory of the worker.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from report import report, run_stage, seconds

MODEL = """\
name: llama7b
weights: fake
build:
  _target_: transformers.LlamaForCausalLM
  config: {_target_: transformers.LlamaConfig}
axes: {batch_size: 1, sequence_length: 128}
inputs:
  input_ids: {_target_: modelbench.inputs.Tokens, vocab_size: 32000}
"""


def main() -> None:
    """Run the command a few times."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "configs" / "model" / "llama7b.yaml"
        model.parent.mkdir(parents=True)
        model.write_text(MODEL, encoding="utf-8")
        words = ["--config-dir", "configs", "model=llama7b", "test=structure"]
        stages: list[dict[str, Any]] = []
        whole = seconds(lambda: stages.append(run_stage(words, Path(folder))), 3)
    peak = max(stage["details"]["worker_peak_mib"] for stage in stages)
    rows = {"whole command": whole, "the stage": [stage["seconds"] for stage in stages]}
    goals = {"whole command, s": (max(whole), 20.0), "worker's peak, MiB": (peak, 2048.0)}
    sys.exit(not report("fake weights", rows, goals))


if __name__ == "__main__":
    main()
