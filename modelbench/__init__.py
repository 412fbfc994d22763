"""One command that tells you all there is to know about a PyTorch model."""

__version__ = "0.1.0"
