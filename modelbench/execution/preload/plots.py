"""Gets ready what every plot is drawn with."""

from modelbench.results.canvas import panels

panels()
