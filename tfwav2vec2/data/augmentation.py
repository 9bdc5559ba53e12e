"""Augmentation of waveforms: other speeds, levels, noises, rooms and telephones.

Each is a function ``(samples, rng) -> samples`` of a clip (samples,) float32 and a numpy generator, and can be put
together with others::

    augment = Chain([SpeedPerturbation(), Sometimes(Reverberation(), 0.3), Sometimes(AdditiveNoise(), 0.5)])
    data = SpeechData("train.tsv", "ctc", processor, config, augment=augment)

SpecAugment, which hides frames inside the model, is a matter of the model's configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from tfwav2vec2.audio import SAMPLE_RATE

# The spectral slopes of noise, as the power of 1 / frequency: white, pink and brown.
_SLOPES = (0.0, 1.0, 2.0)

# Below this frequency, in Hz, coloured noise is even: speech has nothing there.
_LOWEST_NOISE = 20.0

# What is left of a sound after its reverberation time, -60 dB, in units of its amplitude.
_REVERBERATION_FLOOR = 1e-3

Waveform = np.ndarray
Augmentation = Callable[[Waveform, np.random.Generator], Waveform]


def stretch_of(augmentation: Augmentation | None) -> float:
    """How many times longer an augmentation makes a clip at most: what its ``stretch`` says, else 1."""
    return getattr(augmentation, "stretch", 1.0)


@dataclass(frozen=True)
class Chain:
    """Several augmentations one after another.

    Args:
        parts: in their order.
    """

    parts: Sequence[Augmentation]

    @property
    def stretch(self) -> float:
        """How many times longer all of them make a clip at most."""
        return math.prod(stretch_of(part) for part in self.parts)

    def __call__(self, samples: Waveform, rng: np.random.Generator) -> Waveform:
        """Apply each in turn."""
        for part in self.parts:
            samples = part(samples, rng)
        return samples


@dataclass(frozen=True)
class Sometimes:
    """An augmentation for some of the clips.

    Args:
        part: the augmentation.
        probability: the share of the clips, 0 to 1.

    Raises:
        ValueError: for a probability outside 0 to 1.
    """

    part: Augmentation
    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it must be from 0 to 1")

    @property
    def stretch(self) -> float:
        """How many times longer a clip becomes at most."""
        return max(1.0, stretch_of(self.part))

    def __call__(self, samples: Waveform, rng: np.random.Generator) -> Waveform:
        """Apply it or not."""
        return self.part(samples, rng) if rng.random() < self.probability else samples


@dataclass(frozen=True)
class SpeedPerturbation:
    """Speech faster or slower, its pitch with it, as a tape would be (Ko et al. 2015, section 2.2).

    Args:
        factors: the speeds, one of which is drawn for each clip; 1.1 is a tenth faster and shorter.

    Raises:
        ValueError: where there are none, or one is not above 0.
    """

    factors: Sequence[float] = (0.9, 1.0, 1.1)

    def __post_init__(self) -> None:
        if not self.factors or min(self.factors) <= 0:
            raise ValueError(f"factors are {tuple(self.factors)}; give at least one speed, each above 0")

    @property
    def stretch(self) -> float:
        """How many times longer the slowest speed makes a clip."""
        return 1 / min(self.factors)

    def __call__(self, samples: Waveform, rng: np.random.Generator) -> Waveform:
        """The clip at one of the speeds."""
        factor = float(self.factors[int(rng.integers(len(self.factors)))])
        if factor == 1.0:
            return samples
        changed = soxr.resample(samples, SAMPLE_RATE * factor, SAMPLE_RATE, quality="HQ")
        return changed[: math.ceil(len(samples) / factor)]


@dataclass(frozen=True)
class Gain:
    """Speech louder or softer. A feature extractor that normalises its input undoes it, unless clipping follows.

    Args:
        decibels: the least and the greatest change of level.
        clip: whether what is then beyond full scale is cut off, as an overloaded recorder does.
    """

    decibels: tuple[float, float] = (-12.0, 6.0)
    clip: bool = False

    def __post_init__(self) -> None:
        _check_range("decibels", self.decibels)

    def __call__(self, samples: Waveform, rng: np.random.Generator) -> Waveform:
        """The clip at another level."""
        changed = (samples * _amplitude(rng.uniform(*self.decibels))).astype(np.float32)
        return np.clip(changed, -1.0, 1.0) if self.clip else changed


@dataclass(frozen=True)
class AdditiveNoise:
    """Noise behind the speech.

    Args:
        snr: the least and the greatest ratio of the clip's power to the noise's, in decibels.
        noises: recordings of noise (samples,) at the clip's rate, one of which is drawn, from a random place on and
            repeated if need be; by default noise is made, white, pink or brown.
    """

    snr: tuple[float, float] = (5.0, 30.0)
    noises: Sequence[Waveform] | None = None

    def __post_init__(self) -> None:
        _check_range("snr", self.snr)
        if self.noises is not None and (not len(self.noises) or not all(map(len, self.noises))):
            raise ValueError(
                "noises holds no recording, or one without samples; leave it out to have noise made"
            )

    def __call__(self, samples: Waveform, rng: np.random.Generator) -> Waveform:
        """The clip with noise."""
        noise = self._noise(len(samples), rng)
        ratio = _amplitude(-rng.uniform(*self.snr))
        level = _root_mean_square(noise)
        if not level:
            return samples
        return (samples + noise * (ratio * _root_mean_square(samples) / level)).astype(np.float32)

    def _noise(self, length: int, rng: np.random.Generator) -> Waveform:
        if self.noises is None:
            return coloured_noise(length, _SLOPES[int(rng.integers(len(_SLOPES)))], rng)
        noise = self.noises[int(rng.integers(len(self.noises)))]
        start = int(rng.integers(len(noise)))
        return np.take(noise, np.arange(start, start + length), mode="wrap")


def coloured_noise(length: int, slope: float, rng: np.random.Generator) -> Waveform:
    """Noise (length,) whose power falls with frequency as 1 / frequency**slope: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), _LOWEST_NOISE)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2), length).astype(np.float32)


@dataclass(frozen=True)
class Reverberation:
    """The sound of a small room: noise that decays exponentially behind the direct sound (Polack's model, 1988).

    The clip keeps its length and its level, and the direct sound its place.

    Args:
        seconds: the shortest and the longest reverberation time, after which the room's sound is 60 dB softer.
        direct: the least and the greatest ratio of the direct sound's power to the room's, in decibels.
        sampling_rate: of the clips in Hz.
    """

    seconds: tuple[float, float] = (0.1, 0.5)
    direct: tuple[float, float] = (0.0, 15.0)
    sampling_rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        _check_range("seconds", self.seconds, lowest=1 / self.sampling_rate)
        _check_range("direct", self.direct)

    def __call__(self, samples: Waveform, rng: np.random.Generator) -> Waveform:
        """The clip in a room."""
        reverberant = _convolve(samples, self.response(rng))[: len(samples)]
        level = _root_mean_square(reverberant)
        if not level:
            return samples
        return (reverberant * (_root_mean_square(samples) / level)).astype(np.float32)

    def response(self, rng: np.random.Generator) -> Waveform:
        """The impulse response of a room, its direct sound at the front with an amplitude of 1."""
        length = max(round(rng.uniform(*self.seconds) * self.sampling_rate), 1)
        decay = _REVERBERATION_FLOOR ** (np.arange(length) / length)
        tail = rng.standard_normal(length) * decay
        tail *= _amplitude(-rng.uniform(*self.direct)) / np.linalg.norm(tail)
        return np.concatenate([[1.0], tail])


@dataclass(frozen=True)
class TelephoneBand:
    """Only the band of frequencies that a telephone line carries: 300 to 3,400 Hz (ITU-T G.712).

    Args:
        low: the lower edge in Hz.
        high: the upper edge in Hz.
        sampling_rate: of the clips in Hz.

    Raises:
        ValueError: for edges that are not 0 <= low < high.
    """

    low: float = 300.0
    high: float = 3400.0
    sampling_rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise ValueError(
                f"The band is {self.low} to {self.high} Hz; low must be below high, and not below 0"
            )

    def __call__(self, samples: Waveform, rng: np.random.Generator) -> Waveform:
        """The clip's band."""
        # Mirrored at its end, so that the filter does not carry the end into the beginning.
        mirrored = np.concatenate([samples, samples[::-1]])
        frequency = np.fft.rfftfreq(len(mirrored), 1 / self.sampling_rate)
        # Edges an eighth of an octave wide do not ring.
        with np.errstate(divide="ignore"):
            octaves = np.log2(frequency)
            rise = (octaves - np.log2(self.low)) * 8 + 0.5 if self.low else np.ones_like(octaves)
            fall = (np.log2(self.high) - octaves) * 8 + 0.5
        gain = np.sin(np.clip(np.minimum(rise, fall), 0.0, 1.0) * np.pi / 2)
        return np.fft.irfft(np.fft.rfft(mirrored) * gain, len(mirrored))[: len(samples)].astype(np.float32)


def _amplitude(decibels: float) -> float:
    return 10.0 ** (decibels / 20.0)


def _root_mean_square(samples: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _convolve(samples: Waveform, response: Waveform) -> Waveform:
    # A power of two is what the transform likes best.
    size = 1 << (len(samples) + len(response) - 2).bit_length()
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)


def _check_range(name: str, limits: tuple[float, float], lowest: float = -math.inf) -> None:
    least, greatest = limits
    if not lowest <= least <= greatest:
        raise ValueError(f"{name} is {limits}; it must be the least and the greatest value, in this order")
