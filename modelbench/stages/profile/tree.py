"""The modules of one phase as a tree, with blocks that repeat drawn together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelbench.stages.profile.rows import Row

LISTS = {"ModuleList", "ModuleDict"}
"""Classes that only hold modules."""


@dataclass
class Branch:
    """A module, or several in a row that are alike, with what is within."""

    name: str
    """Of the module within the one around it; 'h.0 to 11' of several."""
    kind: str
    path: str
    """Of the first one."""
    times: int = 1
    own_ms: float = 0.0
    macs: int = 0
    params: int = 0
    children: list[Branch] = field(default_factory=list)

    @property
    def total_ms(self) -> float:
        """The time of all of them, with what is within."""
        return self.own_ms + sum(child.total_ms for child in self.children)

    @property
    def all_macs(self) -> int:
        """The MACs, with what is within."""
        return self.macs + sum(child.all_macs for child in self.children)

    @property
    def all_params(self) -> int:
        """The parameters, with what is within."""
        return self.params + sum(child.all_params for child in self.children)

    @property
    def label(self) -> str:
        """Name it as the picture does: 'h.0 to 11: GPT2Block ×12'."""
        again = f" ×{self.times}" if self.times > 1 else ""
        return f"{self.name}: {self.kind}{again}" if self.name else f"{self.kind}{again}"

    def alike(self, other: Branch) -> bool:
        """Return whether both consist of the same classes in the same order."""
        return (
            self.kind == other.kind
            and [(c.name, c.times) for c in self.children]
            == [(c.name, c.times) for c in other.children]
            and all(a.alike(b) for a, b in zip(self.children, other.children, strict=True))
        )

    def join(self, other: Branch) -> None:
        """Add another that is alike."""
        self.own_ms += other.own_ms
        self.macs += other.macs
        self.params += other.params
        for mine, theirs in zip(self.children, other.children, strict=True):
            mine.join(theirs)

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name, "class": self.kind, "path": self.path, "times": self.times,
            "own_ms": self.own_ms, "total_ms": self.total_ms, "macs": self.all_macs,
            "params": self.all_params, "blocks": [child.told() for child in self.children],
        }  # fmt: skip

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Branch]]:
        """Yield it and all within with their depth, outer ones first."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


def tree_of(rows: Sequence[Row], kinds: dict[str, str]) -> Branch:
    """Return the tree of the rows that are modules; `kinds` has every module's class by path.

    Containers that are never called, such as a ModuleList, are left out: their children stand as
    'h.0' in the module around.
    """
    known = {row.path: row for row in rows if row.path in kinds}
    holding = {around for path in known for around in _around(path)}
    root = Branch("", kinds[""], "")
    branches = {"": root}
    for path, kind in kinds.items():  # outer ones come first
        row = known.get(path)
        if row is None and path and (path not in holding or kind in LISTS):
            continue
        around = path
        while around and (around == path or around not in branches):
            around = around.rpartition(".")[0]
        branch = branches.get(path)
        if branch is None:
            name = path.removeprefix(f"{around}.") if around else path
            branch = branches[path] = Branch(name, kind, path)
            branches[around].children.append(branch)
        if row is not None:
            branch.own_ms, branch.macs, branch.params = row.own_ms, row.macs or 0, row.params
    _fold(root)
    return root


def _around(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition(".")[0]
        yield path


def _fold(branch: Branch) -> None:
    """Draw children together that are numbered in a row and alike."""
    folded: list[Branch] = []
    for child in branch.children:
        _fold(child)
        last = folded[-1] if folded else None
        if last is not None and _follows(last, child) and last.alike(child):
            last.join(child)
            last.times += 1
            last.name = f"{last.name.partition(' to ')[0]} to {child.name.rpartition('.')[2]}"
        else:
            folded.append(child)
    branch.children = folded


def _follows(last: Branch, child: Branch) -> bool:
    """Return whether the second is the next entry of the list that the first is in."""
    begin, _, end = last.name.partition(" to ")
    stem, _, number = begin.rpartition(".")
    stem_now, _, number_now = child.name.rpartition(".")
    if not (number.isdigit() and number_now.isdigit()) or stem != stem_now:
        return False
    return int(number_now) == int(end or number) + 1
