"""The command line that runs what is recommended."""

from __future__ import annotations

from modelbench.results.commands import joined, words_of
from modelbench.runtimes.variant import Variant

OURS = ("test=", "test.", "+test.", "runtime=", "runtime.", "precision=", "precision.")
CHANNELS_LAST = {
    "_target_": "modelbench.precision.cast.Cast", "dtype": "float32", "channels_last": True,
}  # fmt: skip
"""Single precision with images laid out pixel by pixel."""


def command_of(variant: Variant, command: str) -> str:
    """Return the job's command with another runtime, precision and layout, to be benchmarked."""
    ours = [*OURS, *(["device.threads="] if variant.threads is not None else [])]
    ours += ["batch_size="] if variant.batch_size is not None else []
    words = [word for word in words_of(command) if not word.startswith(tuple(ours))]
    words += [f"runtime={variant.runtime}", f"precision={variant.precision}"]
    if variant.channels_last:
        scheme = ",".join(f"{key}:{str(value).lower()}" if value is True else f"{key}:{value}"
                          for key, value in CHANNELS_LAST.items())  # fmt: skip
        words.append(f"+precision.scheme={{{scheme}}}")
    if variant.threads is not None:
        words.append(f"device.threads={variant.threads}")
    if variant.batch_size is not None:
        words.append(f"batch_size={variant.batch_size}")
    return joined(["python", "-m", "modelbench", *words, "test=benchmark"])
