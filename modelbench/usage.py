"""What `--help` prints: the groups with what each option is for, the axes, and examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelbench.config import CONF

HEAD = """\
modelbench: all there is to know about a PyTorch model before you train, quantize or ship it.

python -m modelbench [GROUP=OPTION ...] [KEY=VALUE ...] [--multirun] [--config-dir DIR]
"""
TAIL = """\
sizes and input
  image_size=N batch_size=N sequence_length=N   where the model has that axis
  text=TEXT image=FILE seed=N                   what the input is made of

sweeps
  --multirun image_size=128,256 model=cnn,unet  every combination, compared in MLflow

your own
  --config-dir DIR   DIR/model/NAME.yaml is model=NAME; modules in DIR can be imported

more
  --cfg job          print the whole configuration, each key of which can be set
  --hydra-help       Hydra's own flags
"""


def usage(folders: Sequence[Path] = ()) -> str:
    """Write the help, with the options of our groups and of the user's folders."""
    places = [CONF, *folders]
    groups = ("model", "test", "device", "precision", "tracker")
    parts = [HEAD]
    for group in groups:
        files = [file for place in places for file in sorted((place / group).glob("*.yaml"))]
        rows = [f"  {file.stem:<14} {_purpose(file)}" for file in files]
        parts.append("\n".join([f"{group}=", *rows]) + "\n")
    return "\n".join([*parts, TAIL])


def _purpose(file: Path) -> str:
    """Give the first line of a YAML, which says what it is for."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""
