"""The stage `visualization`."""

from modelbench.stages.visualization.settings import Visualization

__all__ = ["Visualization"]
