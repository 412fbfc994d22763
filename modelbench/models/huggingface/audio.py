"""What a model of transformers hears: a waveform, or frames of a spectrogram."""

from __future__ import annotations

from modelbench.models.huggingface.files import Keys
from modelbench.models.huggingface.subject import Inputs, Subject, source

BINS = ("num_mel_bins", "n_mel_bins", "feature_size", "input_feat_per_channel", "n_mels",
        "feature_projection_input_dim", "mel_dim", "num_mels", "input_dim",
        "input_size")  # fmt: skip
SECONDS = 1.0
USUAL_FRAMES = 200


def sounds(subject: Subject, name: str) -> list[Inputs]:
    """Return the ways in which a model may take its sound, the most likely one first."""
    settings = subject.settings
    rate = subject.found.sampling_rate() or settings.number("sampling_rate") or 16_000
    bins = settings.number(*BINS) or 80
    wave = source("Audio", sampling_rate=rate)
    frames = source("Spectrogram", bins=bins, length=fixed_frames(subject))
    across = {**frames, "bins_first": True}
    plane = {**frames, "channels": 1}
    one = {**wave, "channels": 1}
    ways: list[Keys]
    if name in {"input_values", "audio_values", "audio"} and not settings.has("num_mel_bins"):
        ways = [wave, one, frames, across]
        if subject.says("channels, sequence_length", "audio_channels"):
            ways = [one, wave, frames, across]
    elif fixed_frames(subject) and name == "input_features":
        ways = [across, frames, plane, wave]
    else:
        ways = [frames, across, plane, one, wave]
    if fixed_frames(subject):
        ways = [way for way in ways if "length" in way]
    masks = [m for m in (f"{name}_mask", "audio_mask", "feature_attention_mask")
             if m in subject.takes]  # fmt: skip
    found = [{name: way} for way in ways]
    if masks and "length" not in frames:
        lengths = source("Full", shape=["batch_size", "audio_length"])
        found = [{name: way, masks[0]: lengths} for way in ways[:2]] + found
    elif masks:
        lengths = source("Full", shape=["batch_size", fixed_frames(subject)])
        found = [{name: way, masks[0]: lengths} for way in ways[:2]] + found
    return found


def axes(subject: Subject, inputs: Inputs) -> Keys:
    """Return the axis of sound, which is that of the source that counts, and the least it takes."""
    targets = {str(node["_target_"]) for node in inputs.values() if "length" not in node}
    if "modelbench.inputs.Audio" in targets:
        rate = next(n["sampling_rate"] for n in inputs.values() if "sampling_rate" in n)
        return {
            "axes": {"audio_length": int(SECONDS * rate)},
            "limits": {"audio_length": {"min": _least(subject)}},
        }
    if "modelbench.inputs.Spectrogram" in targets:
        return {"axes": {"audio_length": USUAL_FRAMES}, "limits": {"audio_length": {}}}
    return {"axes": {}, "limits": {}}


def _least(subject: Subject) -> int:
    """Return the samples of which convolutions without padding leave one frame."""
    kernels, strides = (subject.settings.find(key) for key in ("conv_kernel", "conv_stride"))
    if not isinstance(kernels, list | tuple) or not isinstance(strides, list | tuple):
        return 1
    least = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=False):
        least = (least - 1) * stride + kernel
    return least


def fixed_frames(subject: Subject) -> int | None:
    """Return the frames of a model that takes just so many."""
    settings = subject.settings
    hears = settings.within("audio")
    nested = hears is not settings and hears.own.get("max_source_positions")
    if nested or subject.says("expected_seq_length", "expects the mel input"):
        positions = settings.number("max_source_positions") or 1500
        return 2 * positions  # the second convolution has a stride of two
    if settings.has("num_mel_bins") and type(settings.own.get("max_length")) is int:
        return int(settings.own["max_length"])  # a transformer over the patches of a spectrogram
    return None
