"""What may have disturbed a timing: each finding in one line, with its remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
import psutil
import torch

from modelbench.measurement.timing.statistics import Statistics, too_correlated, trend, two_groups
from modelbench.system import cgroup
from modelbench.system.nvml import Gpu, look
from modelbench.system.nvml import findings as findings_of_gpu

BUSY = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")
FEW = 0.1
"""Cores' worth of other processes, and of steal, that nobody notices."""
APART = 0.05
"""Relative difference of processes' medians from which it is reported."""
UNUSUAL = 0.05
"""Relative distance of the machine's speed from its usual one from which it is reported."""


@dataclass(frozen=True)
class Snapshot:
    """The state of the machine at one moment. Seconds, bytes, megahertz."""

    when: float
    busy: float
    """CPU time of all processes, all cores."""
    stolen: float
    mine: float
    """CPU time of this process and its threads."""
    processes: Mapping[int, tuple[str, float]]
    """Pid -> name and CPU time."""
    swapped: int
    megahertz: float | None
    throttled: int
    """Periods in which a quota stopped this process's group."""
    gpu: Gpu | None = None
    limit: cgroup.Memory | None = None
    """What its control group lets it hold."""

    @classmethod
    def take(cls, device: torch.device) -> Snapshot:
        """Look once; takes some milliseconds, and no time while calls are timed."""
        graphics = look(device)  # first, while the clock is still what the work made it
        cpu, own, limit = psutil.cpu_times(), psutil.Process().cpu_times(), cgroup.memory()
        frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
        return cls(
            monotonic(),
            sum(getattr(cpu, kind, 0.0) for kind in BUSY),
            getattr(cpu, "steal", 0.0),
            own.user + own.system,
            dict(_processes()),
            _swapped(),
            frequency.current if frequency else None,
            cgroup.throttled(),
            graphics,
            limit,
        )


def findings(before: Snapshot, after: Snapshot) -> list[str]:
    """Return what else the machine was doing between two moments."""
    return list(_findings(before, after))


def others(before: Snapshot, after: Snapshot) -> float:
    """Return how many cores other processes used between two moments."""
    seconds = after.when - before.when
    mine = after.mine - before.mine
    return (after.busy - before.busy - mine) / seconds if seconds > 0 else 0.0


def of_samples(samples_ms: Sequence[float]) -> list[str]:
    """Return what is wrong with the samples of one process themselves."""
    statistics = Statistics.of(samples_ms)
    array = np.asarray(samples_ms, dtype=np.float64)
    found = []
    groups = two_groups(array)
    if groups:
        low, high = groups
        found.append(
            f"samples are bimodal, around {low:.4g} and {high:.4g} ms, and the median is of one "
            "mode; look for another process, a clock change, or two code paths in the model"
        )
    drift = trend(array)
    if drift is not None:
        found.append(
            f"samples drift by {drift:+.1%} from first to last, so there is no single median; "
            "raise test.benchmark.warmup_s, or look for overheating and leaks"
        )
    few = too_correlated(len(array), statistics.effective)
    if few and not groups and drift is None:
        found.append(
            f"samples are correlated: {len(array)} are worth {statistics.effective:.0f} "
            "independent ones, too few for a reliable interval; raise test.benchmark.budget_s"
        )
    return found


def of_processes(medians: Sequence[float], controls: Sequence[float | None]) -> list[str]:
    """Return by what the processes of a run differ, and what that comes from as far as it shows.

    `controls` are the medians of a calculation that was timed beside each.
    """
    differ = max(medians) / min(medians) - 1
    if differ <= APART:
        return []
    by = f"{differ:.0%}" if differ < 1 else f"{differ + 1:.2g} times"
    said = f"the {len(medians)} processes' medians differ by {by}"
    if None not in controls:
        ratios = [ms / (control or 1.0) for ms, control in zip(medians, controls, strict=True)]
        if max(ratios) / min(ratios) - 1 < differ / 2:
            return [
                f"{said}, and a fixed calculation beside them likewise: the host changed its speed "
                "(clock, neighbours, which cores share a cache); compare control_ratio"
            ]
    return [
        f"{said}, which a fixed calculation beside them does not follow: look for a neighbour that "
        "comes and goes, for where threads and memory are placed, and for chance in the model"
    ]


def of_speed(control: str, now_ms: float, usual_ms: float, runs: int) -> list[str]:
    """Return whether the machine is faster or slower now than in most of its runs."""
    change = now_ms / usual_ms - 1
    if abs(change) <= UNUSUAL:
        return []
    return [
        f"the machine is {abs(change):.0%} {'slower' if change > 0 else 'faster'} than usual: its "
        f"{control} control takes {now_ms:.3g} ms, and took {usual_ms:.3g} ms in most of {runs} "
        "runs; measure again later, or compare control_ratio (modelbench-record shows these runs, "
        "and forgets them with --forget)"
    ]


def of_threads(threads: int) -> list[str]:
    """Return where torch's threads are more than the cores that this process may use."""
    allowed = cgroup.usable_cores()
    if threads <= allowed:
        return []
    return [
        f"torch uses {threads} threads, but this process may use {allowed:g} cores (CPU quota or "
        f"affinity); set device.threads={max(1, int(allowed))}"
    ]


def _findings(before: Snapshot, after: Snapshot) -> Iterator[str]:
    seconds = after.when - before.when
    if seconds <= 0:
        return
    used = others(before, after)
    if used > FEW:
        named = _busiest(before, after, seconds)
        who = f", mostly {named}" if named else ""
        yield f"other processes used {used:.2f} cores{who}; stop them, or wait until they finish"
    stolen = (after.stolen - before.stolen) / seconds
    if stolen > FEW:
        yield (
            f"the hypervisor gave {stolen:.2f} cores of this machine to others (steal); measure "
            "again later, or on a dedicated machine"
        )
    swapped = after.swapped - before.swapped
    if swapped > 2**20:
        yield f"{swapped / 2**20:.0f} MiB were swapped; free memory, or use smaller sizes"
    if after.throttled > before.throttled:
        times = after.throttled - before.throttled
        yield f"a CPU quota throttled the process {times} times; lower device.threads"
    if before.limit and after.limit and after.limit.hits > before.limit.hits:
        yield (
            f"the process hit its cgroup memory limit of {after.limit}, at which the kernel "
            "reclaims its page cache; raise the limit, or use smaller sizes"
        )
    if before.megahertz and after.megahertz:
        change = after.megahertz / before.megahertz - 1
        if abs(change) > 0.1:
            yield (
                f"the CPU's clock changed by {change:+.0%}; lock it (governor 'performance', no "
                "turbo), or plug in the charger"
            )
    if before.gpu and after.gpu:
        yield from findings_of_gpu(before.gpu, after.gpu)


def _busiest(before: Snapshot, after: Snapshot, seconds: float) -> str:
    """Name the other processes that took the most time."""
    taken = {
        pid: (time - before.processes.get(pid, ("", 0.0))[1]) / seconds
        for pid, (_, time) in after.processes.items()
        if pid != os.getpid()
    }
    busiest = sorted((pid for pid in taken if taken[pid] > FEW / 2), key=lambda pid: -taken[pid])
    named = (f"{after.processes[pid][0]} (process {pid}, {taken[pid]:.2f})" for pid in busiest[:3])
    return ", ".join(named)


def _processes() -> Iterator[tuple[int, tuple[str, float]]]:
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None:  # not ours to see
            yield process.pid, (process.info["name"] or "?", times.user + times.system)


def _swapped() -> int:
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError):  # Windows, where its counters are off
        return 0
    return int(swap.sin + swap.sout)
