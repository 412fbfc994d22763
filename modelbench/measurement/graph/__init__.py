"""The flow of data between the modules of a model, as a picture that a person can read."""
