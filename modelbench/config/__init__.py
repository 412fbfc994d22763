"""The command line and the YAMLs, checked; nothing here imports torch."""
