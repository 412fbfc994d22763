"""The commands that look at runs which have been made: which they are, and running them again."""
