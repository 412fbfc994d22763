"""The stage `profile`."""

from modelbench.stages.profile.settings import Profile

__all__ = ["Profile"]
