"""The command line that runs what is recommended."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from modelbench.runtimes.variant import Variant

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

OURS = ("test=", "test.", "runtime=", "runtime.", "precision=", "precision.", "device.threads=",
        "batch_size=")  # fmt: skip


def command_of(variant: Variant, workload: Workload, folder: Path) -> str:
    """Return the job's command with another runtime, precision and layout, to be benchmarked."""
    file = folder / ".hydra" / "overrides.yaml"
    given = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else []
    words = [word for word in given if not word.startswith(OURS)]
    if not file.is_file():
        words = [f"model={workload.name}"]
    words += [f"runtime={variant.runtime}", f"precision={variant.precision}"]
    if variant.channels_last:
        words.append(f"precision.scheme={json.dumps(CHANNELS_LAST).replace(' ', '')}")
    if variant.threads is not None:
        words.append(f"device.threads={variant.threads}")
    if variant.batch_size is not None:
        words.append(f"batch_size={variant.batch_size}")
    return shlex.join(["python", "-m", "modelbench", *words, "test=benchmark"])


CHANNELS_LAST = {
    "_target_": "modelbench.precision.cast.Cast", "dtype": "float32", "channels_last": True,
}  # fmt: skip
"""Single precision with images laid out pixel by pixel."""
