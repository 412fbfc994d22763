"""The stage `recommend`."""

from modelbench.stages.recommend.settings import Recommend

__all__ = ["Recommend"]
