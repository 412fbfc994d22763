"""Gets ready what every plot is drawn with."""

from modelbench.plots.canvas import panels

panels()
