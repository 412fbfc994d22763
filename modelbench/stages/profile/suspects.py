"""The layers that take most of the time, why they are slow, and what was tried against it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import nn

from modelbench.measurement.compute.peaks import Peaks
from modelbench.measurement.profiling.captured import Captured, capture
from modelbench.measurement.profiling.recording import Recording
from modelbench.stages.profile.causes import Suspect, causes_of
from modelbench.stages.profile.remedies import PAIRS, Trial, try_compiling, try_remedy, untried
from modelbench.stages.profile.rows import Row

COMPILE = "compile"
LARGE = 40
"""Modules of a block above which compiling it takes too long to try."""
GROUPS = 6
"""Of layers that are looked at."""
LEAST = 0.03
"""Share of the call that a group of layers takes to be looked at."""


@dataclass(frozen=True)
class Finding:
    """One reason why layers are slow, with what was tried."""

    suspect: Suspect
    reason: str
    trial: Trial

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        low, high = self.trial.interval or (None, None)
        return {
            "path": self.suspect.row.path, "class": self.suspect.row.kind,
            "layers": len(self.suspect.paths), "share": self.suspect.share,
            "reason": self.reason, "remedy": self.trial.words, "speedup": self.trial.speedup,
            "speedup_ci_low": low, "speedup_ci_high": high, "helps": self.trial.helps,
            "failed": self.trial.failed,
        }  # fmt: skip

    @property
    def shown(self) -> bool:
        """Whether the reason holds: what was tried against it helps, or nothing could be tried."""
        return self.trial.helps or self.trial.speedup is None

    @property
    def sentence(self) -> str:
        """Write it as a person would say it."""
        row, alike = self.suspect.row, len(self.suspect.paths)
        more = f" and {alike - 1} more like it" if alike > 1 else ""
        name = row.path or "the model"
        return (
            f"{name} ({row.kind}{more}, {self.suspect.share:.0%} of the time): {self.reason}; "
            f"{self.trial.told}"
        )


@dataclass(frozen=True)
class Scene:
    """Where suspects are looked for: one phase."""

    model: nn.Module
    call: Callable[[], Any]
    device: torch.device
    rows: Sequence[Row]
    recording: Recording | None
    peaks: Peaks | None


Known = dict[tuple[str, str, str], Trial]
"""What was tried in another phase already: path, shapes of the input, remedy."""


def findings_of(
    scene: Scene, budget_s: float, known: Known, say: Callable[[str], None]
) -> list[Finding]:
    """Look at the slowest layers, and try what would help, within the budget."""
    until = perf_counter() + budget_s
    groups = _groups(scene.rows)
    block = _block(scene)
    wanted = {group[0].path for group in groups} | ({block} if block is not None else set())
    captured = capture(scene.model, scene.call, wanted)
    findings: list[Finding] = []
    for group in groups:
        suspect = _suspect(scene, group, captured.get(group[0].path))
        for cause in causes_of(suspect):
            key = (suspect.row.path, suspect.row.inputs, cause.remedy)
            left = until - perf_counter() - _takes(suspect.row)
            if key not in known and suspect.captured is not None and left > 0:
                say(f"trying what makes {suspect.row.path or 'the model'} faster")
                known[key] = try_remedy(cause.remedy, suspect.captured, scene.device)
            trial = known.get(key) or untried(cause.remedy)
            findings.append(Finding(suspect, cause.reason, trial))
    taken = next((_takes(row) for row in scene.rows if row.path == block), 0.0)
    left = until - perf_counter() - taken
    if block in captured and left > 0 and not any(key[2] == COMPILE for key in known):
        found = _compiled(scene, block or "", captured[block or ""], say)
        known[block or "", "", COMPILE] = found.trial
        findings += [found] if found.trial.helps else []
    return findings


def _takes(row: Row) -> float:
    """Return the seconds that trying something on a layer takes at least.

    Each call is made twice, since some remedies are set before it.
    """
    calls = 2 * (4 * PAIRS.min_blocks + 2)
    return calls * row.total_ms / max(1.0, row.calls) / 1e3


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Put layers together that are of one class and shape; those that take most come first."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.kind:
            key = (row.kind, row.inputs, row.outputs, row.params) if row.leaf else (row.path,)
            groups[key].append(row)
    most = sorted(groups.values(), key=lambda group: -sum(row.share for row in group))
    return [group for group in most if sum(row.share for row in group) >= LEAST][:GROUPS]


def _suspect(scene: Scene, group: list[Row], captured: Captured | None) -> Suspect:
    row, bandwidth, waiting = group[0], None, 0.0
    operators: dict[str, float] = {}
    if scene.recording is not None:
        ran = scene.recording.by_module().get(row.path, {})
        idle = scene.recording.waiting().get(row.path, 0.0)
        whole = sum(ran.values()) + idle
        operators = {name: spent / whole for name, spent in ran.items()} if whole else {}
        waiting = idle / whole if whole and not scene.recording.on_device else 0.0
    if scene.peaks is not None and row.bytes and row.own_ms > 0:
        bandwidth = row.bytes / row.own_ms * 1e3 / scene.peaks.bytes_per_s
    paths = tuple(each.path for each in group)
    share = sum(each.share for each in group)
    return Suspect(row, paths, share, captured, operators, waiting, bandwidth)


def _block(scene: Scene) -> str | None:
    """Return the path of the block around the slowest layer, which may be worth compiling."""
    slowest = next((row for row in scene.rows if row.leaf), None)
    if slowest is None or not slowest.path:
        return None
    around = slowest.path.rpartition(".")[0]
    called = {row.path: row for row in scene.rows}
    while around and around not in called:
        around = around.rpartition(".")[0]
    if not around or sum(1 for _ in scene.model.get_submodule(around).modules()) > LARGE:
        return None
    return around


def _compiled(scene: Scene, path: str, captured: Captured, say: Callable[[str], None]) -> Finding:
    """Try the block compiled."""
    row = next(row for row in scene.rows if row.path == path)
    say(f"compiling {path}")
    trial = try_compiling(captured, scene.device)
    suspect = Suspect(row, (path,), row.total_ms / _whole(scene.rows), captured)
    return Finding(suspect, "eager, its operators run one by one", trial)


def _whole(rows: Sequence[Row]) -> float:
    return sum(row.own_ms for row in rows) or 1.0
