"""The command line that runs what is recommended."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from modelbench.runtimes.variant import Variant

if TYPE_CHECKING:
    from modelbench.models.workload import Workload

OURS = ("test=", "test.", "runtime=", "runtime.", "precision=", "precision.")


def command_of(variant: Variant, workload: Workload, folder: Path) -> str:
    """Return the job's command with another runtime, precision and layout, to be benchmarked."""
    file = folder / ".hydra" / "overrides.yaml"
    given = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else []
    ours = [*OURS, *(["device.threads="] if variant.threads is not None else [])]
    ours += ["batch_size="] if variant.batch_size is not None else []
    words = [word for word in given if not word.startswith(tuple(ours))]
    if not file.is_file():
        words = [f"model={workload.name}"]
    words += [f"runtime={variant.runtime}", f"precision={variant.precision}"]
    if variant.channels_last:
        scheme = ",".join(f"{key}:{str(value).lower()}" if value is True else f"{key}:{value}"
                          for key, value in CHANNELS_LAST.items())  # fmt: skip
        words.append(f"+precision.scheme={{{scheme}}}")
    if variant.threads is not None:
        words.append(f"device.threads={variant.threads}")
    if variant.batch_size is not None:
        words.append(f"batch_size={variant.batch_size}")
    return shlex.join(["python", "-m", "modelbench", *_folders(folder), *words, "test=benchmark"])


def _folders(folder: Path) -> list[str]:
    """Return the option for the user's own configurations, as the job had it."""
    file = folder / ".hydra" / "hydra.yaml"
    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    paths = (found.get("hydra") or {}).get("searchpath") or []
    own = [path.removeprefix("file://") for path in paths if path.startswith("file://")]
    return [word for path in own for word in ("--config-dir", path)]


CHANNELS_LAST = {
    "_target_": "modelbench.precision.cast.Cast", "dtype": "float32", "channels_last": True,
}  # fmt: skip
"""Single precision with images laid out pixel by pixel."""
