"""Shares as a person writes them."""


def share(text: str | float, name: str) -> float:
    """Return a share written as `1%` or `0.01`; raises ValueError for anything else."""
    written = str(text).strip()
    try:
        found = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise ValueError(f"{name}={text}: expected a share such as 1% or 0.01, below 100%")
    return found
