"""What a call holds."""
