"""Runtimes: what runs a model's calls in the place of eager PyTorch."""
