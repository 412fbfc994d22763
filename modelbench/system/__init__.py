"""The machine around a job: what it may use of memory, processors and accelerators."""
