"""Jobs, and the workers that run their stages."""
