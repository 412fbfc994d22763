"""What `--help` prints: the groups with what each option is for, the axes, and examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelbench.config.schema import CONF, SECTIONS

HEAD = """\
modelbench: all there is to know about a PyTorch model before you train, quantize or ship it.

python -m modelbench [GROUP=OPTION ...] [KEY=VALUE ...] [--multirun] [--config-dir DIR]
"""
TAIL = """\
sizes and input
  image_size=N batch_size=N sequence_length=N   if the model has that axis
  audio_length=N num_frames=N                   the same for audio and video
  text=TEXT image=FILE seed=N                   what the input is made of

sweeps
  --multirun image_size=128,256 model=cnn,unet  every combination, compared in MLflow

your own
  --config-dir DIR   DIR/model/NAME.yaml is model=NAME; modules in DIR can be imported

more
  --cfg job          print the whole configuration; every key in it can be set
  --hydra-help       Hydra's own flags
"""


def usage(folders: Sequence[Path] = ()) -> str:
    """Write the help, with the options of our groups and of the user's folders."""
    places = [CONF, *folders]
    parts = [HEAD]
    for group in (*SECTIONS, "experiment"):
        files = [file for place in places for file in sorted((place / group).glob("*.yaml"))]
        rows = [f"  {file.stem:<16} {_purpose(file)}" for file in files]
        head = "--multirun +experiment=" if group == "experiment" else f"{group}="
        parts.append("\n".join([head, *rows]) + "\n")
    return "\n".join([*parts, TAIL])


def _purpose(file: Path) -> str:
    """Return the first line of a YAML, below Hydra's own, which says what it is for."""
    lines = file.read_text(encoding="utf-8").splitlines()
    first = next((line for line in lines if not line.startswith("# @")), "")
    return first.lstrip("# ") if first.startswith("#") else ""
