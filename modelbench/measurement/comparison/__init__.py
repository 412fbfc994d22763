"""Two runs against each other: what is faster, slower, the same, or cannot be told."""
