"""Precision schemes: what converts a model, and how much of it they cover."""
