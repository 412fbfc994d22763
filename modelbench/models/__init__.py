"""The model under test: how it is built, fed and called; the networks of our own."""
