"""What rooms, microphones and bystanders do to speech: speed, reverberation, colour, noise and level.

Everything is drawn from a numpy generator, so a seed gives the same sound again. What is dear to make (noises, room
responses) is made once and drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import soxr

from recipes.spoken_digits.corpus import Clip
from tfwav2vec2.audio.loading import SAMPLE_RATE

NOISE_SECONDS = 10
NOISES_OF_A_KIND, PIECES_OF_MUSIC = 16, 64
ROOMS = 64
BABBLE_VOICES = 8

WORST_SNR_DB = 5.0
CLEAN_SNR_DB = 40.0
# Root mean square of the speech relative to full scale: a loud one is clipped, a quiet one loses more to eight bits.
LEVEL_DB = (-48.0, -10.0)
CLEAN_LEVEL_DB = (-25.0, -15.0)

TELEPHONE_RATE, MU = 8000, 255


@dataclass(frozen=True)
class Shares:
    """Of all strings, how many each effect changes.

    A colour leaves what it changes uneven by ``uneven_db`` up and down, and leans by ``tilt`` (down, up) dB an octave above 500 Hz.
    """

    reverberation: float
    colour: float
    noise: float
    telephone: float
    masks: float = 0.0
    uneven_db: float = 6.0
    tilt: tuple[float, float] = (0.0, 0.0)


FOR_PHONEMES = Shares(0.35, 0.5, 0.85, 0.4)
# People who dictate digits sit in rooms, and in the band of a telephone there is little left of S and F. Their microphones differ more
# than readers' do: from 1 to 2.4 kHz two of the five people are 7 dB duller than the synthetic voices, and of a third, who is loud below
# 500 Hz, ZERO was taken for TWO until that was filtered away.
FOR_DIGITS = Shares(0.7, 0.8, 0.85, 0.9, masks=0.5, uneven_db=10.0, tilt=(-5.0, 3.0))


Decibels = TypeVar("Decibels", float, np.ndarray)


def decibels(value: Decibels) -> Decibels:
    """Decibels to an amplitude ratio."""
    return 10.0 ** (value / 20.0)


def between(start: float, end: float, share: float) -> float:
    """From ``start`` (share 0) to ``end`` (share 1) in a straight line."""
    return start + share * (end - start)


def rms(samples: np.ndarray) -> float:
    """Root mean square, never zero."""
    return float(np.sqrt(np.mean(np.square(samples), dtype=np.float64))) + 1e-9 if samples.size else 1e-9


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play faster (factor above 1) or slower: tempo, pitch and formants move together."""
    return soxr.resample(samples, SAMPLE_RATE * factor, SAMPLE_RATE, quality="MQ").astype(np.float32)


def change_tempo(samples: np.ndarray, factor: float, sampling_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Speak faster (factor above 1) or slower: pitch and formants stay.

    Raises:
        ImportError: where pedalboard is not installed.
    """
    try:
        from pedalboard import time_stretch
    except ImportError as error:
        raise ImportError(
            "Tempi are changed by pedalboard, which is not installed: pip install pedalboard"
        ) from error
    return time_stretch(samples.astype(np.float32), sampling_rate, factor)[0]


def coloured_noise(length: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise (length,) of unit level whose power falls with frequency to the ``slope``: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.arange(len(spectrum)), length * 40 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum * frequency ** (-slope / 2), length)
    return (noise / rms(noise)).astype(np.float32)


def babble(clips: list[Clip], length: int, rng: np.random.Generator) -> np.ndarray:
    """Many voices at once (length,), at unit level: clips laid end to end, several rows of them added."""
    mix = np.zeros(length, np.float32)
    for _ in range(BABBLE_VOICES):
        place = -int(rng.integers(0, SAMPLE_RATE))
        while place < length:
            samples = clips[int(rng.integers(len(clips)))].samples
            start, end = max(place, 0), min(place + len(samples), length)
            if end > start:
                mix[start:end] += samples[start - place : end - place] / rms(samples)
            place += len(samples)
    return mix / rms(mix)


def music(length: int, rng: np.random.Generator) -> np.ndarray:
    """Chords (length,) at unit level that are struck and die away, as instruments play them."""
    made = np.zeros(length, np.float32)
    place = 0
    while place < length:
        seconds = rng.uniform(0.15, 1.2)
        time = np.arange(min(int(1.5 * seconds * SAMPLE_RATE), length - place)) / SAMPLE_RATE
        envelope = np.minimum(time / 0.01, 1.0) * np.exp(-time * rng.uniform(0.5, 6.0))
        for semitones in rng.choice(48, int(rng.integers(1, 4)), replace=False):
            pitch = 65.4 * 2 ** (semitones / 12)
            for partial in range(1, int(rng.integers(2, 9))):
                tone = np.sin(2 * np.pi * (partial * pitch * time + rng.uniform()))
                made[place : place + len(time)] += (envelope * tone / partial).astype(np.float32)
        place += int(seconds * SAMPLE_RATE)
    return made / rms(made)


def room(rng: np.random.Generator) -> np.ndarray:
    """A made-up room's impulse response: the direct sound, then noise that dies away (60 dB in 0.1 to 0.6 s)."""
    seconds = rng.uniform(0.1, 0.6)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail[: int(rng.uniform(0.001, 0.01) * SAMPLE_RATE)] = 0.0
    tail *= decibels(rng.uniform(-15.0, 0.0)) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return tail.astype(np.float32)


def colour(bins: int, rng: np.random.Generator, shares: Shares = FOR_PHONEMES) -> np.ndarray:
    """A microphone's response: gains (bins,) for frequencies from 0 to 8 kHz, smooth, sometimes of a narrow band."""
    frequency = np.linspace(1.0, SAMPLE_RATE / 2, bins)
    knots = np.geomspace(60.0, SAMPLE_RATE / 2, 7)
    uneven = rng.uniform(-shares.uneven_db, shares.uneven_db, len(knots))
    gain = np.interp(np.log(frequency), np.log(knots), uneven)
    if any(shares.tilt):
        gain += rng.uniform(*shares.tilt) * np.maximum(np.log2(frequency / 500.0), 0.0)
    if rng.random() < 0.5:
        low = rng.uniform(50.0, 300.0)
        gain -= 12.0 * np.maximum(np.log2(low / frequency), 0.0)
    if rng.random() < 0.5:
        high = rng.uniform(3000.0, 7500.0)
        gain -= 36.0 * np.maximum(np.log2(frequency / high), 0.0)
    return decibels(gain).astype(np.float32)


def mask(bins: int, rng: np.random.Generator) -> np.ndarray:
    """Gains (bins,) that take one or two bands away, by 10 to 40 dB: no word may hang on one of them (SpecAugment's frequency masks)."""
    octave = np.log2(np.linspace(1.0, SAMPLE_RATE / 2, bins))
    gain = np.zeros(bins)
    for _ in range(int(rng.integers(1, 3))):
        centre, width = rng.uniform(np.log2(100.0), np.log2(4000.0)), rng.uniform(0.3, 1.2)
        gain[np.abs(octave - centre) < width / 2] = -rng.uniform(10.0, 40.0)
    return decibels(gain).astype(np.float32)


def telephone(samples: np.ndarray, companded: bool) -> np.ndarray:
    """What a telephone leaves of a waveform (samples,): the band below 4 kHz, ``companded`` to the 8 bits of ITU-T G.711 (mu-law)."""
    narrow = soxr.resample(samples, SAMPLE_RATE, TELEPHONE_RATE, quality="MQ")
    if companded:
        steps = np.round(
            127 * np.sign(narrow) * np.log1p(MU * np.minimum(np.abs(narrow), 1.0)) / np.log1p(MU)
        )
        narrow = np.sign(steps) * np.expm1(np.abs(steps) / 127 * np.log1p(MU)) / MU
    wide = soxr.resample(narrow, TELEPHONE_RATE, SAMPLE_RATE, quality="MQ")[: len(samples)]
    # What was clipped overshoots between the samples that the narrow band keeps.
    return np.pad(np.clip(wide, -1.0, 1.0), (0, len(samples) - len(wide))).astype(np.float32)


@dataclass(frozen=True)
class Surroundings:
    """The noises (of each kind several, each 10 s at unit level) and the rooms that strings of digits are put into, and how often."""

    noises: list[list[np.ndarray]]
    rooms: list[np.ndarray]
    shares: Shares

    @classmethod
    def make(cls, clips: list[Clip], rng: np.random.Generator, shares: Shares = FOR_DIGITS) -> Surroundings:
        """Make them; ``clips`` are the voices of the babble, so they must be clips for training."""
        length = NOISE_SECONDS * SAMPLE_RATE
        noises = [
            [coloured_noise(length, slope, rng) for _ in range(NOISES_OF_A_KIND)] for slope in (0.0, 1.0, 2.0)
        ]
        noises.append([babble(clips, length, rng) for _ in range(NOISES_OF_A_KIND)])
        noises.append([music(length, rng) for _ in range(PIECES_OF_MUSIC)])
        return cls(noises, [room(rng) for _ in range(ROOMS)], shares)

    def filter(self, samples: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
        """Reverberate, colour and mask, each or not; the same length comes back."""
        reverberant = rng.random() < strength * self.shares.reverberation
        response = self.rooms[int(rng.integers(len(self.rooms)))] if reverberant else None
        coloured = rng.random() < strength * self.shares.colour
        # Without masks nothing is drawn for them.
        masked = self.shares.masks > 0.0 and rng.random() < strength * self.shares.masks
        if response is None and not coloured and not masked:
            return samples
        # Room for the longest tail, and a power of two, which the transform likes best.
        size = 1 << (len(samples) + SAMPLE_RATE).bit_length()
        spectrum = np.fft.rfft(samples, size)
        if response is not None:
            spectrum *= np.fft.rfft(response, size)
        if coloured:
            spectrum *= colour(len(spectrum), rng, self.shares)
        if masked:
            spectrum *= mask(len(spectrum), rng)
        return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)

    def noise(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """A stretch of one noise (length,) at unit level, from a random place, repeated if need be."""
        kind = self.noises[int(rng.integers(len(self.noises)))]
        noise = kind[int(rng.integers(len(kind)))]
        place = int(rng.integers(len(noise)))
        return np.take(noise, np.arange(place, place + length), mode="wrap")

    def apply(
        self, samples: np.ndarray, speech_level: float, rng: np.random.Generator, strength: float = 1.0
    ) -> np.ndarray:
        """Put a string (samples,) into surroundings.

        ``speech_level`` is the root mean square of its speech. ``strength`` goes from 0, a quiet room and an even
        level, to 1, everything that is drawn here.
        """
        samples = self.filter(samples, rng, strength) / speech_level
        if rng.random() < strength * self.shares.noise:
            worst = between(CLEAN_SNR_DB, WORST_SNR_DB, strength)
            samples = samples + self.noise(len(samples), rng) * decibels(-rng.uniform(worst, CLEAN_SNR_DB))
        low, high = (
            between(clean, full, strength) for clean, full in zip(CLEAN_LEVEL_DB, LEVEL_DB, strict=True)
        )
        samples = np.clip(samples * decibels(rng.uniform(low, high)), -1.0, 1.0).astype(np.float32)
        # The people's recordings are of 8 kHz: what teaches that other speech holds no digits must not be told by its band.
        if rng.random() < strength * self.shares.telephone:
            samples = telephone(samples, companded=rng.random() < 0.5)
        return samples
