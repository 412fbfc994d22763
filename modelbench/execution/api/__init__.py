"""What Python code calls: `modelbench.measure`, `summary`, `timed`, `compare_calls`."""
