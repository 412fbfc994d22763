"""What of a trace is drawn: what is alike in a row once, and only as deep as is readable."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelbench.measurement.graph.trace import MODULE, Node, Trace

LONGEST_PERIOD = 8
"""Modules that may repeat together, such as convolution, normalisation and activation."""
MOST_CHILDREN = 40
"""Children of one module, after folding, above which runs of them are drawn as one."""


@dataclass(eq=False)
class Item:
    """What is drawn once: a call and all those in a row that are like it, or a run of several."""

    nodes: list[Node]
    """Calls that it stands for, the first one first; a run has those of its first round."""
    parent: Item | None
    times: int = 1
    """How many in a row."""
    children: list[Item] = field(default_factory=list)
    run: bool = False
    """Whether it is several children of a module in a row, and no module itself."""

    @property
    def first(self) -> Node:
        """The call that is shown for all."""
        return self.nodes[0]

    @property
    def last(self) -> Node:
        """The call whose result is that of the first round."""
        return self.children[-1].last if self.run else self.first

    @property
    def macs(self) -> float:
        """Multiply-accumulates of all that it stands for."""
        return sum((c.macs for c in self.children) if self.run else (n.macs for n in self.nodes))

    @property
    def ms(self) -> float:
        """Milliseconds of all that it stands for, where they were measured."""
        return sum((c.ms for c in self.children) if self.run else (n.ms for n in self.nodes))

    @property
    def params(self) -> int:
        """Parameters of one."""
        return sum(c.params for c in self.children) if self.run else self.first.params

    @property
    def opens(self) -> bool:
        """Whether there is anything within that can be drawn."""
        node = self.first
        return self.run or bool(self.children and (node.calls or node.parent is None))

    @property
    def depth(self) -> int:
        """Modules around it."""
        around = self.parent
        return 0 if around is None else around.depth + (not around.run)


@dataclass
class View:
    """What is drawn."""

    root: Item
    opened: set[Item]
    """Drawn as what is within them."""
    edges: list[tuple[Item, Item]]
    """Between what is drawn, inputs and output among it, in order of execution."""
    inputs: list[Item]
    output: Item

    def shown(self, item: Item | None = None) -> Iterator[Item]:
        """Yield what is drawn as one node, in order of execution, inputs and output left out."""
        item = item or self.root
        if item not in self.opened:
            yield item
            return
        for child in item.children:
            yield from self.shown(child)


def view(trace: Trace, most: int, depth: int | None = None) -> View:
    """Choose what is drawn: levels of modules are opened while there are at most `most` nodes.

    Modules of one class at one depth are opened together or not at all, those that compute most
    first. `depth` opens that many levels, however many nodes that comes to.
    """
    owner: dict[Node, Item] = {}
    root = _build([trace.root], None, 1, owner, {})
    opened = {root}
    if depth is not None:
        opened |= {i for i in _all(root) if i.opens and (i.depth < depth or i.run)}
    else:
        _open(root, opened, most)
    inputs = [Item([node], None) for node in trace.inputs]
    output = Item([trace.output], None)
    owner |= {item.first: item for item in [*inputs, output]}
    edges: dict[tuple[Item, Item], None] = {}
    for source, target in trace.edges:
        pair = _drawn(owner[source], opened), _drawn(owner[target], opened)
        # From one round of a repeated block to the next is no edge of the picture.
        if pair[0].first.order < pair[1].first.order:
            edges[pair] = None
    ordered = sorted(edges, key=lambda pair: (pair[1].first.order, pair[0].first.order))
    return View(root, opened, ordered, inputs, output)


def _open(root: Item, opened: set[Item], most: int) -> None:
    refused: set[tuple[int, str]] = set()
    while True:
        groups: dict[tuple[int, str], list[Item]] = {}
        for item in _closed(root, opened):
            key = item.depth, "" if item.run else item.first.kind
            if item.opens and key not in refused:
                groups.setdefault(key, []).append(item)
        if not groups:
            return
        level = min(depth for depth, _ in groups)
        key = max(
            (k for k in groups if k[0] == level),
            key=lambda k: sum(i.ms or i.macs for i in groups[k]),
        )
        if sum(1 for _ in _closed(root, opened | set(groups[key]))) <= most:
            opened |= set(groups[key])
        else:
            refused.add(key)


def _all(item: Item) -> Iterator[Item]:
    yield item
    for child in item.children:
        yield from _all(child)


def _closed(item: Item, opened: set[Item]) -> Iterator[Item]:
    if item not in opened:
        yield item
        return
    for child in item.children:
        yield from _closed(child, opened)


def _drawn(item: Item, opened: set[Item]) -> Item:
    """Return the outermost item around this one that is drawn as one node."""
    found, around = item, item.parent
    while around is not None:
        if around not in opened:
            found = around
        around = around.parent
    return found


Signature = tuple[object, ...]


def _build(
    nodes: list[Node],
    parent: Item | None,
    times: int,
    owner: dict[Node, Item],
    known: dict[Node, Signature],
) -> Item:
    """Make the item of nodes that are alike."""
    item = Item(nodes, parent, times)
    owner |= dict.fromkeys(nodes, item)
    # Alike nodes have alike children: those at one place are alike as well.
    places = list(zip(*(node.children for node in nodes), strict=True))
    for start, period, rounds in _repeats([place[0] for place in places], known):
        around = item
        if period > 1:
            first = [places[start + i][0] for i in range(period)]
            around = Item(first, item, rounds, run=True)
            item.children.append(around)
        for place in range(start, start + period):
            alike = [n for r in range(rounds) for n in places[place + r * period]]
            again = rounds if period == 1 else 1
            around.children.append(_build(alike, around, again, owner, known))
    if len(item.children) > MOST_CHILDREN:
        _chunk(item)
    return item


def _chunk(item: Item) -> None:
    """Put runs of children together, so that a long flat module can be drawn."""
    count = len(item.children)
    length = math.ceil(count / math.isqrt(count))
    runs = [item.children[start : start + length] for start in range(0, count, length)]
    item.children = []
    for children in runs:
        run = Item([child.first for child in children], item, children=children, run=True)
        for child in children:
            child.parent = run
        item.children.append(run)


def _repeats(nodes: Sequence[Node], known: dict[Node, Signature]) -> Iterator[tuple[int, int, int]]:
    """Cut nodes into (start, period, rounds), repetitions taken together."""
    start = 0
    while start < len(nodes):
        best = (1, 1)
        for period in range(1, min(LONGEST_PERIOD, (len(nodes) - start) // 2) + 1):
            rounds = 1
            while _same_round(nodes, start, period, rounds, known):
                rounds += 1
            if rounds > 1 and period * rounds > best[0] * best[1]:
                best = (period, rounds)
        yield (start, *best)
        start += best[0] * best[1]


def _same_round(
    nodes: Sequence[Node], start: int, period: int, number: int, known: dict[Node, Signature]
) -> bool:
    """Return whether one more round is like the first."""
    begin = start + number * period
    if begin + period > len(nodes):
        return False
    pairs = list(zip(nodes[start : start + period], nodes[begin : begin + period], strict=True))
    return any(node.role == MODULE for node, _ in pairs) and all(
        _signature(a, known) == _signature(b, known) and _numbered(a, b) for a, b in pairs
    )


def _numbered(a: Node, b: Node) -> bool:
    """Return whether two are entries of a list, or the same; q, k and v are neither."""
    if a.role != MODULE or a.path == b.path:
        return True
    return all(node.path.rpartition(".")[2].isdigit() for node in (a, b))


def _signature(node: Node, known: dict[Node, Signature]) -> Signature:
    if node not in known:
        within = tuple(_signature(child, known) for child in node.children)
        known[node] = (node.role, node.kind, node.params, node.told, within)
    return known[node]


def by_target(edges: Sequence[tuple[Item, Item]]) -> Mapping[Item, list[Item]]:
    """Return the sources of each target."""
    found: dict[Item, list[Item]] = {}
    for source, target in edges:
        found.setdefault(target, []).append(source)
    return found
