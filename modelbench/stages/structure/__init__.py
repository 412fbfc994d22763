"""The stage `structure`."""

from modelbench.stages.structure.structure import Structure

__all__ = ["Structure"]
