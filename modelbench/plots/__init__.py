"""Plots of results, each as PNG and SVG: one colour and one marker for a thing, units on axes."""
