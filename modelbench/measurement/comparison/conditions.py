"""Under which conditions two runs were made: machine, settings, versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelbench.results.differences import differing

HOST = ("cpu", "cpu_cores", "cpu_threads", "memory_limit_gib", "cpu_quota")
MACHINE = (*HOST, "cpu_capability", "gpu", "gpu_memory_gib", "gpu_capability", "driver")
SOFTWARE = ("hostname", "platform", "python", "modelbench", "git_commit", "cuda", "cudnn")
THREADS = ("torch_threads", "torch_interop_threads")
CHOSEN = ("precision", "axes", "seed")
RAM = 0.05
"""Relative difference of memory that is that of a kernel, and not of a machine."""
EAGER = {"name": "eager", "engine": None}
"""Of results that know of no runtimes."""
IDLE = {"timeout_s"}
"""Settings that change no figure."""


@dataclass(frozen=True)
class Differences:
    """What differs between two runs, a line each."""

    machine: list[str]
    settings: list[str]
    other: list[str]
    """What may be the very thing that is compared: versions, code, the model's keys."""

    @property
    def refused(self) -> list[str]:
        """What makes the two not comparable."""
        return [*self.machine, *self.settings]


def differences(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Differences:
    """Hold the conditions of two documents against each other."""
    one, two = (document.get("environment") or {} for document in (baseline, candidate))
    # A job that ended before its stages knows less: neither its device nor what torch found.
    ran = bool(baseline["stages"] and candidate["stages"])
    machine = list(_differing(MACHINE if ran else HOST, one, two))
    ram = [float(each.get("ram_gib") or 0) for each in (one, two)]
    if abs(ram[0] - ram[1]) > RAM * max(ram):
        machine.append(f"ram_gib: {ram[0]:g} against {ram[1]:g}")
    settings = list(_differing(CHOSEN, baseline, candidate))
    if ran:
        settings += [*_differing(("device",), baseline, candidate), *_differing(THREADS, one, two)]
    plain = [document.get("config") or {} for document in (baseline, candidate)]
    settings += _nested("runtime", *(each.get("runtime") or EAGER for each in plain))
    settings += _nested("data", *(each.get("data") or {} for each in plain))
    tests = [each.get("test") or {} for each in plain]
    for stage in tests[0].keys() & tests[1].keys():
        kept = [{k: v for k, v in test[stage].items() if k not in IDLE} for test in tests]
        settings += _nested(f"test.{stage}", *kept)
    other = list(_differing(SOFTWARE, one, two))
    other += _nested("versions", *(each.get("versions") or {} for each in (one, two)))
    other += _nested("model", *(each.get("model") or {} for each in plain))
    return Differences(machine, settings, other)


def _differing(
    keys: tuple[str, ...], one: Mapping[str, Any], two: Mapping[str, Any]
) -> Iterator[str]:
    for key in keys:
        if one.get(key) != two.get(key):
            yield f"{key}: {_told(one.get(key))} against {_told(two.get(key))}"


def _nested(path: str, one: Any, two: Any) -> Iterator[str]:
    for where, before, after in differing(path, one, two):
        yield f"{where}: {_told(before)} against {_told(after)}"


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={entry}" for key, entry in value.items()) or "nothing"
    return "nothing" if value is None else str(value)
