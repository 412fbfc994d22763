"""The stage `visualization`."""

from modelbench.stages.visualization.visualization import Visualization

__all__ = ["Visualization"]
