"""Two command lines, timed interleaved in one session: both see the same states of the machine."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import exp, log, sqrt
from pathlib import Path
from statistics import mean, median, stdev
from threading import Timer
from typing import Any

from scipy.special import stdtrit

from modelbench.config.error import ConfigurationError
from modelbench.execution.comparing.runs import UsageError
from modelbench.measurement.comparison.effect import Ratio

BURST_S = 0.08
"""Seconds that a side is timed before it is the other's turn."""
WARMUP_S = 0.3
TIMEOUT_S = 600.0
"""Seconds after which a side that does not answer has failed."""
LEAST_BLOCKS = 3


@dataclass(frozen=True)
class Session:
    """How long, and in how many pairs of fresh processes."""

    pairs: int = 6
    budget_s: float = 20.0
    """Of each phase, both sides and all pairs together."""
    seed: int = 0


@dataclass
class Phase:
    """The samples of one phase, pair by pair, in milliseconds."""

    baseline_ms: list[list[float]] = field(default_factory=list)
    candidate_ms: list[list[float]] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    """Each pair's: the median over its blocks, of logarithms."""
    blocks: int = 0

    @property
    def ratio(self) -> Ratio:
        """Candidate over baseline, with the interval of what the pairs differ by."""
        count = len(self.ratios)
        told = f"{self.blocks} interleaved blocks in {count} pairs of fresh processes"
        reach = float(stdtrit(count - 1, 0.975)) * stdev(self.ratios) / sqrt(count)
        return Ratio(exp(mean(self.ratios)), reach, count - 1, told)


@dataclass(frozen=True)
class Command:
    """What one side runs."""

    words: Sequence[str]
    folder: Path | None = None
    slower: float = 0.0
    """Share of its time by which each call is made longer."""


class Side:
    """One side's process."""

    def __init__(self, command: Command) -> None:
        """Start it; in the command's folder, whose modules are the first that it imports."""
        self._command = command
        self._printed = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (__exit__)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "modelbench.execution.comparing.side", *command.words],
            cwd=command.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._printed,
            text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip

    def phases(self) -> list[str]:
        """Wait until it is ready; return its phases. Raises ConfigurationError and UsageError."""
        found = self._answer()
        if "errors" in found:
            raise ConfigurationError(found["errors"])
        return list(found["phases"])

    def time(self, phase: str, seconds: float) -> list[float]:
        """Return samples in milliseconds."""
        assert self._process.stdin is not None
        wait = Timer(TIMEOUT_S, self._process.kill)
        request = {"phase": phase, "seconds": seconds, "slower": self._command.slower}
        wait.start()
        try:
            with suppress(BrokenPipeError):  # the answer below tells how it ended
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
            return list(self._answer()["ms"])
        finally:
            wait.cancel()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._process.wait()
        self._printed.seek(0)
        last = "\n".join(self._printed.read().strip().splitlines()[-8:])
        raise UsageError(
            f"{' '.join(self._command.words)}: its process ended with status "
            f"{self._process.returncode}:\n{last}"
        )

    def __enter__(self) -> Side:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._printed.close()


def interleaved(
    baseline: Command, candidate: Command, session: Session, say: Callable[[str], None]
) -> dict[str, Phase]:
    """Time the phases that both have; raises ConfigurationError and UsageError."""
    rng = random.Random(session.seed)
    found: dict[str, Phase] = {}
    for pair in range(session.pairs):
        say(f"pair {pair + 1} of {session.pairs}: starting both")
        with ExitStack() as stack:
            sides = [stack.enter_context(Side(command)) for command in (baseline, candidate)]
            phases = [side.phases() for side in sides]
            common = [phase for phase in phases[0] if phase in phases[1]]
            if not common:
                raise UsageError(
                    f"no phase in common: {', '.join(phases[0])} and {', '.join(phases[1])}"
                )
            for phase in common:
                say(f"pair {pair + 1} of {session.pairs}: {phase}")
                _pair(sides, phase, session, rng, found.setdefault(phase, Phase()))
    return found


def _pair(
    sides: Sequence[Side], phase: str, session: Session, rng: random.Random, found: Phase
) -> None:
    """Add one pair's blocks."""
    for side in sides:
        side.time(phase, WARMUP_S)
    samples: tuple[list[float], list[float]] = ([], [])
    blocks: list[float] = []
    spent_s = 0.0
    while len(blocks) < LEAST_BLOCKS or spent_s < session.budget_s / session.pairs:
        outer = rng.randrange(2)
        logs = [0.0, 0.0]
        for which in (outer, 1 - outer, 1 - outer, outer):
            taken = sides[which].time(phase, BURST_S)
            samples[which].extend(taken)
            logs[which] += log(median(taken)) / 2
            spent_s += sum(taken) / 1e3
        blocks.append(logs[1] - logs[0])
    found.baseline_ms.append(samples[0])
    found.candidate_ms.append(samples[1])
    found.ratios.append(median(blocks))
    found.blocks += len(blocks)
