"""How far a measurement is, for who waits in a terminal or a notebook."""

from __future__ import annotations

import importlib.util
from typing import Any

from modelbench.config import schema
from modelbench.results import Job, Result, Summary


class Progress:
    """A bar with a step for each stage."""

    def __init__(self, about: Job) -> None:
        self._total = len(schema.stages(about.config))
        self._bar: Any = None

    def open(self, job: Job) -> None:
        """Show it, empty."""
        # In a notebook without ipywidgets, tqdm's own bar is none.
        if importlib.util.find_spec("ipywidgets") is None:
            from tqdm import tqdm
        else:
            from tqdm.auto import tqdm
        self._bar = tqdm(total=self._total, desc=job.model, leave=False, unit="stage", disable=None)

    def progress(self, stage: str, text: str) -> None:
        """Show what the stage is doing."""
        if self._bar is not None and text:
            self._bar.set_postfix_str(f"{stage}: {text}")

    def keep(self, result: Result) -> None:
        """Do nothing: what is recorded is complete."""

    def record(self, result: Result) -> None:  # noqa: ARG002  (as every sink)
        """Take a step."""
        if self._bar is not None:
            self._bar.update()

    def close(self, summary: Summary) -> None:  # noqa: ARG002
        """Take it away."""
        if self._bar is not None:
            self._bar.close()
