"""The model under test: how it is built, fed and called; our own networks."""
