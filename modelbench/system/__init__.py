"""The machine: accelerators, limits, signals, environment."""
