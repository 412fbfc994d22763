"""Jobs, and the isolated workers that run their stages."""
