"""When an estimate of memory has missed."""

MISSED = 0.2
"""Share by which an estimate may miss before it is a warning,"""
ROUNDING = 48 * 2**20
"""or bytes, which libraries take when they are first called."""


def missed(told: int, found: int) -> bool:
    """Return whether what was found, in bytes, is not what was told."""
    return abs(found - told) > max(MISSED * told, ROUNDING)


def missed_by(told: int, found: int) -> str:
    """Return in words by how much."""
    return f"{abs(found / told - 1):.0%} {'more' if found > told else 'less'}"
