"""A view in Graphviz's language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import graphviz

from modelbench.measurement.graph.fold import Item, View
from modelbench.measurement.graph.layout import MEASURED
from modelbench.measurement.graph.levels import Levels
from modelbench.measurement.graph.trace import INPUT, JOIN, OUTPUT

FONT_SIZE = 14
SKIP = "#0072B2"
# ColorBrewer's Oranges: each is darker than the one before, in black and white as well.
SHARES = [(0.01, "#ffffff"), (0.05, "#feedde"), (0.15, "#fdbe85"), (0.30, "#fd8d3c"),
          (1.01, "#a63603")]  # fmt: skip
LEGEND = ["under 1%", "to 5%", "to 15%", "to 30%", "more"]
FAN = 4
"""Edges from one node above which they are drawn faintly: a condition given to every block."""
LONGEST = 34
"""Characters of a name; the tooltip has the whole."""


def source(view: View, title: str) -> str:
    """Write the picture of a view."""
    return _Writer(view, title).source


class _Writer:
    def __init__(self, view: View, title: str) -> None:
        self._view, self._levels = view, Levels.of(view)
        self._total, self._total_ms = view.root.macs or 1.0, view.root.ms
        self._names: dict[Item, str] = {}
        self._frames = 0
        self._fan = Counter(one for one, _ in view.edges)
        graph = graphviz.Digraph(
            graph_attr={
                "label": graphviz.escape(title), "labelloc": "t", "fontname": MEASURED,
                "fontsize": "20",
                "ranksep": "0.3", "nodesep": "0.25", "newrank": "true", "bgcolor": "white",
            },
            node_attr={
                "shape": "box", "style": "filled,rounded", "fontname": MEASURED,
                "fontsize": str(FONT_SIZE), "margin": "0.1,0.04", "fillcolor": "white",
                "height": "0.3",
            },
            edge_attr={"color": "#555555", "arrowsize": "0.7"},
        )  # fmt: skip
        _legend(graph, "time" if self._total_ms else "MACs")
        for item in view.inputs:
            self._node(graph, item, "")
        self._within(graph, view.root, "")
        self._node(graph, view.output, "")
        for edge in view.edges:
            self._edge(graph, *edge)
        for one, other in self._same_level().items():
            with graph.subgraph() as level:
                level.attr(rank="same")
                level.node(self._names[one])
                level.node(self._names[other])
        self.source: str = graph.source

    def _within(self, graph: graphviz.Digraph, item: Item, around: str) -> None:
        """Write what is drawn of an item; one that is opened is a frame around its children."""
        if item not in self._view.opened:
            self._node(graph, item, around)
            return
        path = around if item.run else item.first.path
        if item.parent is None or (item.run and item.times == 1):
            for child in item.children:
                self._within(graph, child, path)
            return
        self._frames += 1
        with graph.subgraph(name=f"cluster_{self._frames}") as frame:
            frame.attr(
                label=graphviz.escape(_title(item, around)), labelloc="t", labeljust="l",
                style="rounded,filled", color="#999999", fillcolor="#0000000a",
                fontname=MEASURED, fontsize=str(FONT_SIZE), margin="8",
                penwidth="2" if item.times > 1 else "1",
            )  # fmt: skip
            for child in item.children:
                self._within(frame, child, path)

    def _node(self, graph: graphviz.Digraph, item: Item, around: str) -> None:
        identity = self._names[item] = f"n{len(self._names)}"
        node = item.first
        of_macs = item.macs / self._total
        shares = {"time": item.ms / self._total_ms} if self._total_ms else {}
        shares["MACs"] = of_macs
        share = next(iter(shares.values()))
        colour = next((colour for most, colour in SHARES if share < most), SHARES[-1][1])
        each = " each" if len(item.nodes) > 1 else ""
        facts = [f"{short(item.params)} params{each}"] if item.params else []
        told = [f"{share:.0%} of {name}" for name, share in shares.items() if share >= 0.005]
        facts, timed = (facts, told) if self._total_ms else ([*facts, *told], [])
        lines = [_title(item, around), _gives(item.last.told), ", ".join(facts)]
        lines.append(", ".join(timed))
        given = {}
        if node.role in {INPUT, OUTPUT}:
            name = node.path or "output"
            lines = [name, *_parts(node.told.removeprefix(f"{name} "))]
            given = {"style": "filled", "fillcolor": "#e8e8e8"}
        elif node.role == JOIN and not item.run:
            given = {"shape": "ellipse", "margin": "0.02,0.0"}
        whole = "\n".join(
            filter(None, [f"{node.path} {node.kind}".strip(), node.told, *facts, *timed])
        )
        graph.node(
            identity,
            label=graphviz.escape("\n".join(filter(None, lines))).replace("\n", "\\n"),
            tooltip=graphviz.escape(whole).replace("\n", "\\n"),
            **{"fillcolor": colour, **_on(colour), **given},
        )

    def _edge(self, graph: graphviz.Digraph, one: Item, other: Item) -> None:
        levels, given = self._levels, {}
        if (one, other) in levels.skips:
            given = {"color": SKIP, "penwidth": "2"}
        elif self._fan[one] > FAN:
            given = {"color": "#aaaaaa", "style": "dashed"}
        tail, head = self._names[one], self._names[other]
        if other not in levels.ascent:
            graph.edge(tail, head, **given)
        elif (one in levels.ascent or one is levels.bottom) and (one, other) not in levels.bridges:
            graph.edge(head, tail, dir="back", **given)  # upwards
        else:
            graph.edge(tail, head, constraint="false", **given)

    def _same_level(self) -> Mapping[Item, Item]:
        """Return the ends of bridges that are drawn side by side, each once."""
        pairs: dict[Item, Item] = {}
        for one, other in sorted(self._levels.bridges, key=lambda b: b[1].first.order):
            if one not in pairs and other not in pairs.values():
                pairs[one] = other
        return pairs


def _legend(graph: graphviz.Digraph, of: str) -> None:
    """Draw the legend of the colours; not every build of Graphviz has tables."""
    entries = [(f"share of {of}:", {"shape": "plaintext", "style": ""})]
    entries += [
        (label, {"style": "filled", "fillcolor": colour, **_on(colour)})
        for (_, colour), label in zip(SHARES, LEGEND, strict=True)
    ]
    entries.append(
        ("blue: skip connections", {"shape": "plaintext", "style": "", "fontcolor": SKIP})
    )
    for place, (label, given) in enumerate(entries):
        graph.node(f"legend{place}", label=label, margin="0.05,0", tooltip=label, **given)
        if place:  # one below the other, at the top
            graph.edge(f"legend{place - 1}", f"legend{place}", style="invis")


def _on(colour: str) -> dict[str, str]:
    """Return the colour of text that can be read on the darkest one."""
    return {"fontcolor": "white"} if colour == SHARES[-1][1] else {}


def _title(item: Item, around: str) -> str:
    """Name an item as seen from the module around it: 'h.0 to h.11, GPT2Block x12'."""
    first, last = item.first, item.nodes[-1]
    again = f" ×{item.times}" if item.times > 1 else ""
    if item.run:
        kinds = [child.first.kind for child in item.children]
        few = [*kinds[:2], f"{len(kinds) - 2} more"] if len(kinds) > 3 else kinds
        return f"{' + '.join(map(_shortened, few))}{again}"
    if first.role == JOIN:
        return first.kind
    name = _inside(first.path, around)
    if item.times > 1 and last.path != first.path:
        name += f" to {last.path.rpartition('.')[2]}"
    return f"{_shortened(name)}: {_shortened(first.kind)}{again}"


def _inside(path: str, around: str) -> str:
    return path.removeprefix(f"{around}.") if around else path


def _gives(told: str) -> str:
    """Name the first of several tensors."""
    first, *others = told.split(", ")
    return _shortened(first) + (f" and {len(others)} more" if others else "")


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _parts(told: str) -> list[str]:
    """Break a list of tensors into lines; of many, the first ones."""
    parts = told.split(", ")
    more = [f"and {len(parts) - 4} more"] if len(parts) > 5 else parts[4:]
    return [_shortened(part) for part in [*parts[:4], *more]]


def short(count: float) -> str:
    """Write a count as people say it: 31 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f}"
