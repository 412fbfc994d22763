"""The calls of a model that are timed separately, such as prefill and decode.

A phase is named in a model's YAML by a function that takes the model and a batch, prepares what is
not to be timed, and returns the call that is. It raises `modelbench.results.Skip` where it does not
apply.
"""
