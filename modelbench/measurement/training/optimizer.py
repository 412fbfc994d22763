"""The optimizer that a stage's settings name; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def adamw() -> dict[str, Any]:
    """Return the optimizer where none is named."""
    return {"_target_": "torch.optim.AdamW"}


def checked_optimizer(optimizer: Any) -> None:
    """Raise ValueError unless it names a class with its arguments."""
    if not isinstance(optimizer, Mapping) or "_target_" not in optimizer:
        raise ValueError(
            f"optimizer={optimizer}: expected _target_: torch.optim.AdamW or another optimizer, "
            "with its arguments"
        )
