"""What differs between two nodes of plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differing(path: str, one: Any, two: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs, at any depth: its dotted path, and both values."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        for key in dict.fromkeys([*one, *two]):
            yield from differing(f"{path}.{key}" if path else str(key), one.get(key), two.get(key))
    elif one != two:
        yield path, one, two
