"""One room for each stage: its settings, its work and its helpers."""
