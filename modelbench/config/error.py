"""What a configuration that cannot be run raises."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigurationError(ValueError):
    """The configuration cannot be run; `errors` has one line for each reason."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors
