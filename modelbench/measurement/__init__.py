"""The instruments: time, memory, MACs, numerics, training steps."""
