"""How far outputs differ."""
