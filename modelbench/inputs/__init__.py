"""Where a model's inputs come from: photographs, text, audio, noise, labelled data."""

from modelbench.inputs.audio import Audio, Spectrogram
from modelbench.inputs.draw import Draw, Source
from modelbench.inputs.image import Image
from modelbench.inputs.noise import Full, Labels, Noise
from modelbench.inputs.patches import Patches, PatchGrid
from modelbench.inputs.prompt import Placeholders, Prompt
from modelbench.inputs.text import TEXT, Tokens
from modelbench.inputs.video import Video

__all__ = [
    "TEXT",
    "Audio",
    "Draw",
    "Full",
    "Image",
    "Labels",
    "Noise",
    "PatchGrid",
    "Patches",
    "Placeholders",
    "Prompt",
    "Source",
    "Spectrogram",
    "Tokens",
    "Video",
]
