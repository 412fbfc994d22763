"""What torch's profiler records of a call, as a file for Perfetto and as figures."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OPERATOR, RANGE = "cpu_op", "user_annotation"
ON_DEVICE = {"kernel", "gpu_memcpy", "gpu_memset"}
OUTSIDE = "(outside operators)"
"""Python, and what torch does between operators."""
NO_OPERATOR = "(kernels of no operator)"
"""Such as those that a model launches itself, by Triton."""


@dataclass(eq=False)
class Slice:
    """An operator or a range on a thread of the CPU; microseconds."""

    name: str
    category: str
    start: float
    taken: float
    thread: Any
    args: Mapping[str, Any]
    around: Slice | None = None
    within: float = 0.0
    """What slices within it took."""
    on_device: float = 0.0
    """Of the kernels that it launched itself."""

    @property
    def own(self) -> float:
        """Without what is within it."""
        return max(0.0, self.taken - self.within)


@dataclass
class Recording:
    """One call of a phase, operator by operator."""

    slices: list[Slice]
    whole: Slice
    """The range around the whole call."""
    modules: Mapping[str, str]
    """Names of ranges -> the path of the module that they stand for."""
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Microseconds since the call began, and the bytes allocated then."""
    kernels_us: float = 0.0
    """Of all kernels."""
    busy_us: float = 0.0
    """The time in which at least one ran; less than all together where streams overlap."""

    @property
    def on_device(self) -> bool:
        """Whether kernels of an accelerator were seen."""
        return self.kernels_us > 0

    def of_call(self) -> Iterator[Slice]:
        """Yield what ran within the call, on any thread."""
        start, stop = self.whole.start, self.whole.start + self.whole.taken
        for each in self.slices:
            if start <= each.start < stop and each is not self.whole:
                yield each

    def spent(self, each: Slice) -> float:
        """Return a slice's own time: that of its kernels, on an accelerator."""
        return each.on_device if self.on_device else each.own

    def operators(self) -> dict[str, tuple[int, float]]:
        """Return by name how often each ran, and its own microseconds.

        On the CPU the rest of the call is there as well, under OUTSIDE; on an accelerator the
        other kernels, under NO_OPERATOR.
        """
        found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
        for each in self.of_call():
            if each.category == OPERATOR:
                count, spent = found[each.name]
                found[each.name] = count + 1, spent + self.spent(each)
        if not self.on_device:
            top = [s for s in self.of_call() if s.category == OPERATOR and _outer(s)]
            ran = sum(s.taken for s in top if s.thread == self.whole.thread)
            found[OUTSIDE] = 0, max(0.0, self.whole.taken - ran)
        elif (rest := self.kernels_us - sum(spent for _, spent in found.values())) > 0:
            found[NO_OPERATOR] = 0, rest
        return dict(found)

    def by_module(self) -> dict[str, dict[str, float]]:
        """Return the operators' own microseconds by the module that they ran in, '' for none."""
        found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for each in self.of_call():
            if each.category == OPERATOR:
                found[self.module_of(each)][each.name] += self.spent(each)
        return {path: dict(operators) for path, operators in found.items()}

    def waiting(self) -> dict[str, float]:
        """Return by module the microseconds in which no operator of its own ran: Python, mostly.

        Of kernels' own time, on an accelerator, there is no such rest.
        """
        if self.on_device:
            return {}
        found: dict[str, float] = defaultdict(float)
        for each in self.of_call():
            if each.category == RANGE and each.name in self.modules:
                found[self.modules[each.name]] += each.own
        return dict(found)

    def module_of(self, each: Slice) -> str:
        """Return the path of the innermost module around a slice; '' also where there is none."""
        around = each.around
        while around is not None:
            if around.category == RANGE and around.name in self.modules:
                return self.modules[around.name]
            around = around.around
        return ""


def _outer(each: Slice) -> bool:
    """Return whether no other operator is around it."""
    around = each.around
    while around is not None:
        if around.category == OPERATOR:
            return False
        around = around.around
    return True


def read(file: Path, name: str, modules: Mapping[str, str]) -> Recording:
    """Read a trace in Chrome's format; raises ValueError where the call `name` is not in it."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        events = json.load(stream)["traceEvents"]
    slices = [
        Slice(e["name"], e["cat"], float(e["ts"]), float(e["dur"]), e["tid"], e.get("args", {}))
        for e in events
        if e["ph"] == "X" and e.get("cat") in {OPERATOR, RANGE}
    ]
    _nest(slices)
    whole = next((s for s in slices if s.category == RANGE and s.name == name), None)
    if whole is None:
        raise ValueError(f"{file.name}: the profiler recorded no call of {name}")
    found = Recording(slices, whole, modules)
    _add_kernels(found, [e for e in events if e["ph"] == "X" and e.get("cat") in ON_DEVICE])
    found.memory = [
        (float(e["ts"]) - whole.start, int(e["args"]["Total Allocated"]))
        for e in events
        if e["name"] == "[memory]"
        and "Total Allocated" in e["args"]
        # The CPU's allocator and an accelerator's each have a total of their own.
        and (int(e["args"].get("Device Type", 0)) != 0) == found.on_device
    ]
    return found


def _nest(slices: list[Slice]) -> None:
    """Let each slice know what is around it, and how long what is within it took."""
    threads: dict[Any, list[Slice]] = defaultdict(list)
    for each in slices:
        threads[each.thread].append(each)
    for of_thread in threads.values():
        of_thread.sort(key=lambda s: (s.start, -s.taken))
        stack: list[Slice] = []
        for each in of_thread:
            while stack and each.start >= stack[-1].start + stack[-1].taken:
                stack.pop()
            if stack:
                each.around = stack[-1]
                stack[-1].within += each.taken
            stack.append(each)


def _add_kernels(found: Recording, kernels: Sequence[Mapping[str, Any]]) -> None:
    """Give each operator the time of the kernels that it launched."""
    launched = {s.args["External id"]: s for s in found.slices if "External id" in s.args}
    ends = []
    begin, end = found.whole.start, found.whole.start + found.whole.taken
    for kernel in kernels:
        if not begin <= float(kernel["ts"]) < end:  # of what came before the call
            continue
        taken = float(kernel["dur"])
        by = launched.get(kernel.get("args", {}).get("External id"))
        if by is not None:
            by.on_device += taken
        found.kernels_us += taken
        ends.append((float(kernel["ts"]), float(kernel["ts"]) + taken))
    reached = float("-inf")
    for start, stop in sorted(ends):
        found.busy_us += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
