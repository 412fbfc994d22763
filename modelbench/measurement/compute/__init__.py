"""What a call computes: MACs, bytes, and the machine's peaks."""
