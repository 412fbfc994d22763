"""Precision schemes: what turns a model into the form in which it would be shipped."""
