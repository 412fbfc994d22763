"""Sound, as a synthetic voice: a gliding pitch, its harmonics and a syllable's rhythm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from modelbench.inputs.draw import Draw, generator

RATE = 16_000
HOP, WINDOW = 160, 400
"""Samples from one frame of a spectrogram to the next, and of a frame, at 16 kHz."""


@dataclass(frozen=True)
class Audio:
    """A waveform: float32, `[batch_size, audio_length]`, of mean 0 and variance 1.

    `audio_length` is in samples. Each sample of a batch is another voice.
    """

    sampling_rate: int = RATE
    channels: int | None = None
    """`[batch_size, channels, audio_length]`; without it there is no such dimension."""
    length: int | None = None
    """Where the model takes one length only: there is then no `audio_length`."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size",) if self.length else ("batch_size", "audio_length")

    def __call__(self, draw: Draw) -> Tensor:
        """Speak."""
        wave = voices(draw, self.length or draw.sizes["audio_length"], self.sampling_rate)
        return wave if self.channels is None else wave[:, None].expand(-1, self.channels, -1)

    def note(self, draw: Draw) -> str:  # noqa: ARG002  (every source's note takes it)
        """Return what it is made of."""
        return f"a synthetic voice at {self.sampling_rate:,} Hz"


@dataclass(frozen=True)
class Spectrogram:
    """A log-mel spectrogram of the same voices: float32, `[batch_size, audio_length, bins]`.

    `audio_length` is in frames of 10 ms. With `bins_first`, `[batch_size, bins, audio_length]`.
    """

    bins: int = 80
    bins_first: bool = False
    length: int | None = None
    """Where the model takes one length only: there is then no `audio_length`."""
    channels: int | None = None
    """A dimension of so many after the batch."""

    def axes(self) -> tuple[str, ...]:
        """Name the axes that the tensor has."""
        return ("batch_size",) if self.length else ("batch_size", "audio_length")

    def __call__(self, draw: Draw) -> Tensor:
        """Speak, and take the logarithm of the mel bands."""
        frames = self.length or draw.sizes["audio_length"]
        wave = voices(draw, max(WINDOW, frames * HOP), RATE)
        power = (
            torch.stft(wave, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True)
            .abs()[..., :frames]
            .square()
        )
        if power.shape[-1] < frames:
            power = torch.nn.functional.pad(power, (0, frames - power.shape[-1]))
        bands = (_mel(self.bins) @ power).clamp_min(1e-10).log10()
        scaled = (bands - bands.mean()) / bands.std().clamp_min(1e-6)
        made = scaled if self.bins_first else scaled.transpose(1, 2)
        if self.channels is not None:
            made = made[:, None].expand(-1, self.channels, -1, -1)
        return made.contiguous()

    def note(self, draw: Draw) -> str:  # noqa: ARG002
        """Return what it is made of."""
        return "log-mel frames of 10 ms of a synthetic voice"


def voices(draw: Draw, samples: int, rate: int) -> Tensor:
    """Make a voice for each sample of a batch, `[batch_size, samples]`."""
    batch = draw.sizes["batch_size"]
    drawn = torch.rand(batch, 3, 1, generator=generator(draw))
    noise = torch.randn(batch, samples, generator=generator(draw))
    time = torch.arange(samples) / rate
    pitch = 90 + 120 * drawn[:, 0] + 15 * torch.sin(2 * math.pi * (0.5 + drawn[:, 1]) * time)
    phase = 2 * math.pi * pitch.cumsum(1) / rate
    harmonics = sum(torch.sin(k * phase) / k for k in range(1, 12))
    rhythm = torch.sin(2 * math.pi * (2 + 2 * drawn[:, 2]) * time).clamp_min(0)
    wave = harmonics * rhythm + 0.02 * noise
    scaled: Tensor = (wave - wave.mean(1, keepdim=True)) / wave.std(1, keepdim=True)
    return scaled


def _mel(bins: int) -> Tensor:
    """Return triangles on the mel scale (O'Shaughnessy 1987), `[bins, WINDOW / 2 + 1]`."""
    hertz = torch.linspace(0, RATE / 2, WINDOW // 2 + 1)
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bins + 2) / 2595) - 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hertz - low) / (centre - low), (high - hertz) / (high - centre)
    return torch.minimum(rising, falling).clamp_min(0)
