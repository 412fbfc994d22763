"""The stage `structure`."""

from modelbench.stages.structure.settings import Structure

__all__ = ["Structure"]
