"""Which edges skip what lies between, and which part of a U-shaped network climbs again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelbench.measurement.graph.fold import Item, View, by_target

SPATIAL = 4
"""Dimensions of a tensor that has a height and a width."""


@dataclass
class Levels:
    """How a view is laid out."""

    skips: set[tuple[Item, Item]]
    """Edges past something that leads to the same place."""
    bridges: set[tuple[Item, Item]]
    """Skips past a smaller resolution; a U-Net has them."""
    ascent: set[Item]
    """What follows the smallest resolution below the bridges; it is drawn upwards."""
    bottom: Item | None = None

    @classmethod
    def of(cls, view: View) -> Levels:
        """Look at the edges and the shapes of a view."""
        sources = by_target(view.edges)
        skips = {
            (source, target)
            for target, several in sources.items()
            if len(several) > 1 and target is not view.output
            for source in several
            if _comparable(source, target)
            and any(o is not source and _leads(source, o, sources) for o in several)
        }
        shown = [item for item in view.shown() if _resolution(item)]
        bridges = {
            (source, target)
            for source, target in skips
            if any(
                _resolution(source) >= 4 * _resolution(item)
                for item in shown
                if source.first.order < item.first.order < target.first.order
            )
        }
        if not bridges:
            return cls(skips, bridges, set())
        end = max(target.first.order for _, target in bridges)
        begin = min(source.first.order for source, _ in bridges)
        between = [item for item in shown if begin < item.first.order < end]
        least = min(map(_resolution, between))
        bottom = [item for item in between if _resolution(item) == least][-1]
        later = [
            item for item in [*view.shown(), view.output] if item.first.order > bottom.first.order
        ]
        ascent = {item for item in later if _leads(bottom, item, sources)}
        return cls(skips, {b for b in bridges if b[1] in ascent}, ascent, bottom)


def _comparable(a: Item, b: Item) -> bool:
    """Return whether one could be the other, changed; an embedding of time is no image."""
    one, other = a.last.shape or (), b.last.shape or ()
    if len(one) != len(other):
        return False
    return len(one) >= SPATIAL or one == other or b.first.kind == "cat"


def _resolution(item: Item) -> int:
    shape = item.last.shape or ()
    return shape[-1] * shape[-2] if len(shape) >= SPATIAL else 0


def _leads(source: Item, target: Item, sources: Mapping[Item, list[Item]]) -> bool:
    """Return whether there is a way from one to the other."""
    seen, ahead = {target}, [target]
    while ahead:
        for item in sources.get(ahead.pop(), []):
            if item is source:
                return True
            if item not in seen and item.first.order > source.first.order:
                seen.add(item)
                ahead.append(item)
    return False
