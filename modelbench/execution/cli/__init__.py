"""The command line: which jobs it stands for."""
