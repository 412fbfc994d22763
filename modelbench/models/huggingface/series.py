"""What a model of transformers takes as a series of numbers in time."""

from __future__ import annotations

from modelbench.models.huggingface.subject import Inputs, Subject, source

LENGTHS = ("context_length", "prediction_length")


def series(subject: Subject) -> list[Inputs]:
    """Return the past values with what belongs to them, and the future's where they are wanted."""
    settings = subject.settings
    own = settings.own
    length, ahead = (settings.number(key) or 16 for key in LENGTHS)
    lags = own.get("lags_sequence") or [0]
    past = length + max(lags)
    channels = settings.number("num_input_channels", "input_size") or 1
    shape = [["batch_size", past, channels], ["batch_size", past]]
    shapes = shape if settings.has("num_input_channels") or channels > 1 else shape[::-1]
    features = settings.number("num_time_features") or 1
    found = []
    for values in shapes:
        each: Inputs = {"past_values": source("Noise", shape=values)}
        beside = {
            "past_time_features": source("Noise", shape=["batch_size", past, features]),
            "past_observed_mask": source("Full", shape=values, value=1.0, dtype="float32"),
            "past_values_padding": source("Full", shape=["batch_size", past], value=0),
            "freq": source("Full", shape=["batch_size", 1], value=0),
        }
        if "future_time_features" in subject.takes:
            each["past_time_features"] = beside["past_time_features"]
            later = source("Noise", shape=["batch_size", ahead, *values[2:]])
            each["future_values"] = later
            each["future_time_features"] = source("Noise", shape=["batch_size", ahead, features])
            each["past_observed_mask"] = beside["past_observed_mask"]
        each |= {name: node for name, node in beside.items() if subject.wants(name)}
        found.append(each)
    return found
