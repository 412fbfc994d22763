"""Running again what a document says how it was run."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelbench.config.quoting import quoted
from modelbench.execution.comparing.runs import UsageError
from modelbench.results.commands import words_of
from modelbench.results.reading import FILE, read_results
from modelbench.system.environment import host


def check_unchanged(documents: Sequence[Mapping[str, Any]]) -> None:
    """Raise UsageError where running them again would run other code, or elsewhere."""
    now = host()
    for document in documents:
        was = document["environment"]
        differ = [key for key in ("cpu", "git_commit", "versions") if now.get(key) != was.get(key)]
        if now.get("git_dirty") or was.get("git_dirty"):
            differ.append("uncommitted changes")
        if not document["command"]:
            differ.append("no command")
        if differ:
            raise UsageError(
                f"--calibrate: {document['name']} would not run as it did ({', '.join(differ)}); "
                "check out the baseline's commit, or use python -m modelbench.gate, which runs both"
            )


def run_again(
    document: Mapping[str, Any], count: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Run a job so many times; return what the runs found. Raises UsageError where one fails."""
    found = []
    words = words_of(document["command"])
    for number in range(count):
        say(f"calibrating: run {number + 1} of {count} of the baseline")
        found.append(run_job(words))
    return found


def run_job(words: Sequence[str], folder: Path | None = None) -> dict[str, Any]:
    """Run a job by its overrides in a process of its own, in `folder`; return its document.

    Raises UsageError with what it printed, where it left no results.
    """
    with tempfile.TemporaryDirectory(prefix="modelbench-") as place:
        own = ["tracker=none", f"hydra.run.dir={quoted(place)}"]
        ended = subprocess.run(
            [sys.executable, "-m", "modelbench", *words, *own],
            cwd=folder, capture_output=True, text=True, encoding="utf-8", errors="replace",
            check=False,
        )  # fmt: skip
        file = Path(place) / FILE
        if not file.is_file():
            raise UsageError(
                f"{shlex.join(['modelbench', *words])}: ended with status {ended.returncode} and "
                f"left no results:\n{(ended.stderr or ended.stdout).strip()}"
            )
        return read_results(file)
