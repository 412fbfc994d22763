"""Measuring: operations, time and what statistics makes of the samples."""
