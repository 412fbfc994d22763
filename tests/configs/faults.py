"""Stages that go wrong in each way that a stage can."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from modelbench.models.workload import Workload
from modelbench.results import Report, Skip
from modelbench.stages.stage import Context, Stage


@dataclass(frozen=True)
class Fine(Stage):
    """Says in which process it ran."""

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Report a number, a series, a file and what would upset a terminal."""
        report = Report(notes=["a note with [brackets]"])
        report.metric("pid", os.getpid(), "count")
        report.metric("nothing", float("nan"), "count")
        report.series["loss"] = [3.0, 2.0, 1.0]
        report.series["odd"] = [1.0, float("nan"), float("inf")]
        (context.directory / "graph").mkdir(exist_ok=True)
        (context.directory / "graph" / "fine.txt").write_text("fine", encoding="utf-8")
        report.artifacts.append("graph/fine.txt")
        print("printed by the model")  # noqa: T201
        return report


@dataclass(frozen=True)
class Parts(Stage):
    """Has parts, of which those called `die` and `hang` do so."""

    parts: list[str] = field(default_factory=lambda: ["a", "die", "b", "die", "c"])

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Report a number for each of the others."""
        report = Report(notes=["said each time"])
        for at, part in enumerate(self.parts):
            rest = self.parts[at + 1 :]
            context.keep(report, f"part {part}", {"parts": rest} if rest else {})
            if part == "die":
                os._exit(3)
            if part == "hang":
                time.sleep(600)
            report.metric(part, os.getpid(), "count")
            report.notes.append(f"{part} is done")
        return report


@dataclass(frozen=True)
class Fault(Stage):
    """Goes wrong as `how` says."""

    how: str = "raise"

    def __call__(self, workload: Workload, context: Context) -> Report:
        """Never return a good report."""
        context.say("about to fail")
        if self.how == "raise":
            raise ValueError("a [reason]\nand more of it")
        if self.how == "skip":
            raise Skip("it does not apply")
        if self.how == "hang":
            time.sleep(600)
        if self.how == "exit":
            sys.exit(3)
        if self.how == "die":
            os._exit(3)
        if self.how == "kill":
            ballast = bytearray(os.urandom(1)) * (700 * 2**20)
            os.kill(os.getpid(), signal.SIGKILL if len(ballast) else 0)
        if self.how == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "orphans":
            child = subprocess.Popen(["sleep", "60"])
            (context.directory / "child.txt").write_text(str(child.pid), encoding="utf-8")
            (context.scratch / "large").write_bytes(b"0" * 100)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "naps":
            me = os.getpid()
            subprocess.Popen(["sh", "-c", f"kill -STOP {me}; sleep 0.3; kill -CONT {me}"])
            time.sleep(600)
        if self.how == "allocate":
            raise MemoryError
        return Report(details={"path": Path()})  # no plain data
