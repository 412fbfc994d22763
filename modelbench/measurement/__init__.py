"""Measuring: operations, time, memory, and what statistics makes of the samples."""
